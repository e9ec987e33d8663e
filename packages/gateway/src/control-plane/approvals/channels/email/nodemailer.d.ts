/** The little of nodemailer that is used. */
export interface TransportOptions {
  readonly host: string
  readonly port: number
  readonly secure: boolean
  readonly requireTLS: boolean
  readonly ignoreTLS: boolean
  readonly auth?: { readonly user: string; readonly pass: string }
  readonly tls: { readonly ca?: string; readonly minVersion: 'TLSv1.2' }
  readonly connectionTimeout: number
  readonly greetingTimeout: number
  readonly socketTimeout: number
  readonly disableFileAccess: true
  readonly disableUrlAccess: true
}

export interface Mail {
  readonly from: string
  readonly to: readonly string[]
  readonly subject: string
  readonly text: string
  readonly messageId: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Sent {
  readonly accepted: readonly unknown[]
  readonly rejected: readonly unknown[]
}

export interface Transporter {
  sendMail(mail: Mail): Promise<Sent>
  close(): void
}

export function createTransport(options: TransportOptions): Transporter
