/** The little of smtp-server that tests use. */
export interface Session {
  readonly secure: boolean
  readonly user?: string
}
export interface SmtpOptions {
  readonly key?: string
  readonly cert?: string
  readonly authOptional?: boolean
  readonly disabledCommands?: readonly string[]
  readonly onAuth?: (
    auth: { readonly username?: string; readonly password?: string },
    session: Session,
    done: (error: Error | null, found?: { readonly user: string }) => void,
  ) => void
  readonly onConnect?: (session: Session, done: (error?: Error) => void) => void
  readonly onRcptTo?: (
    address: { readonly address: string },
    session: Session,
    done: (error?: Error) => void,
  ) => void
  readonly onData?: (
    stream: NodeJS.ReadableStream,
    session: Session,
    done: (error?: Error) => void,
  ) => void
}
export class SMTPServer {
  constructor(options: SmtpOptions)
  listen(port: number, host: string, done: () => void): void
  close(done: () => void): void
  on(event: 'error', listener: (error: Error) => void): void
  readonly server: import('node:net').Server
}
