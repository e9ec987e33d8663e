import { DeliveryError } from '../../../exports/delivery/destination.ts'
import { MessageRefused, type Channel, type Notice, type Receipt } from '../channel.ts'
import type { EmailChannel as EmailConfig } from '../config/channel-config.ts'
import { linesOf, titleOf } from '../notice-text.ts'
import type { Mail, TransportOptions, Transporter } from 'nodemailer'

export interface EmailChannelOptions {
  readonly config: EmailConfig
  /** How long one message may take in all, in milliseconds. */
  readonly answerMs?: number
}

/** A server that answers a little now and then must not keep others waiting. */
const answerMsMax = 45_000
const silentMsMax = 10_000
/** More than this nobody reads in a mail. */
const shownMax = 20

/** Sends plain text by SMTP (RFC 5321). Every address in it asks for a login, and opening one decides nothing. */
export class EmailChannel implements Channel {
  readonly where: string
  readonly isForPeople = true
  readonly edits = false
  readonly approvalsMax = 1000
  readonly #config: EmailConfig
  readonly #answerMs: number
  #transport: Promise<Transporter> | undefined

  constructor({ config, answerMs = answerMsMax }: EmailChannelOptions) {
    this.#config = config
    this.#answerMs = answerMs
    this.where = `${config.to.join(', ')} by ${config.host}:${config.port}`
  }

  async deliver(notice: Notice, signal: AbortSignal): Promise<Receipt | undefined> {
    const shown = notice.approvals.slice(0, shownMax).map((each) => {
      const answer = notice.kind === 'requested' ? (each.url ?? `sallyport approve ${each.id}`) : ''
      return [...linesOf(each), ...(answer === '' ? [] : [answer])].join('\n')
    })
    const more = notice.count - shown.length
    const text = [
      ...shown,
      ...(more > 0 ? [`and ${more} more`] : []),
      ...(notice.kind === 'requested'
        ? ['Each address asks who you are. Opening it decides nothing.']
        : []),
    ].join('\n\n')
    return await this.#send(notice.id, titleOf(notice), text, signal)
  }

  async test(signal: AbortSignal): Promise<void> {
    const text = 'This is a test of a channel for requests for approval. Nothing waits.'
    const receipt = await this.#send(`test-${Date.now()}`, 'Test of a channel', text, signal)
    if (receipt !== undefined) throw new DeliveryError(`not taken for ${receipt['refused'] ?? ''}`)
  }

  async close(): Promise<void> {
    const transport = await this.#transport?.catch(() => undefined)
    transport?.close()
  }

  async #send(
    id: string,
    title: string,
    text: string,
    signal: AbortSignal,
  ): Promise<Receipt | undefined> {
    const { from, to } = this.#config
    const domain = from.slice(from.indexOf('@') + 1)
    const mail: Mail = {
      from,
      to,
      subject: `Sallyport: ${title}`,
      text: `${title}\n\n${text}\n`,
      // The same whenever it is tried again, so that mailboxes can drop what they have.
      messageId: `<${id}@${domain}>`,
      // RFC 3834: nobody's absence is to be answered here.
      headers: { 'Auto-Submitted': 'auto-generated' },
    }
    this.#transport ??= this.#open()
    const transport = await this.#transport
    const { rejected } = await this.#inTime(transport, mail, signal)
    return rejected.length === 0 ? undefined : { refused: rejected.map(String).join(', ') }
  }

  async #inTime(
    transport: Transporter,
    mail: Mail,
    signal: AbortSignal,
  ): ReturnType<Transporter['sendMail']> {
    const over = AbortSignal.any([signal, AbortSignal.timeout(this.#answerMs)])
    const late = Promise.withResolvers<never>()
    const onLate = (): void => late.reject(new DeliveryError('the server took too long'))
    over.addEventListener('abort', onLate, { once: true })
    try {
      if (over.aborted) onLate()
      return await Promise.race([transport.sendMail(mail), late.promise])
    } catch (error) {
      throw error instanceof DeliveryError ? error : problemOf(error)
    } finally {
      over.removeEventListener('abort', onLate)
    }
  }

  /** The library is loaded by gateways that send mail, and by no others. */
  async #open(): Promise<Transporter> {
    const library = await import('nodemailer').catch(() => undefined)
    if (library === undefined) {
      this.#transport = undefined
      throw new DeliveryError('the package nodemailer is not installed')
    }
    return library.createTransport(transportOptions(this.#config))
  }
}

function transportOptions({ host, port, tls, ca, login }: EmailConfig): TransportOptions {
  return {
    host,
    port,
    secure: tls === 'tls',
    // A server that does not offer STARTTLS gets nothing (RFC 8314, section 3).
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'off',
    tls: { minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca: ca.expose() }) },
    ...(login === undefined ? {} : { auth: { user: login.user, pass: login.password.expose() } }),
    connectionTimeout: silentMsMax,
    greetingTimeout: silentMsMax,
    socketTimeout: silentMsMax,
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

/** A server's words are not repeated: they may hold anything. Codes are (RFC 5321, section 4.2.1). */
function problemOf(error: unknown): DeliveryError {
  const { code, responseCode } = (error ?? {}) as { code?: unknown; responseCode?: unknown }
  const name = typeof code === 'string' ? code : 'unknown'
  if (name === 'ETLS') return new DeliveryError('the server does not offer TLS')
  if (name === 'EAUTH') return new DeliveryError('the server refused the login')
  if (typeof responseCode !== 'number')
    return new DeliveryError(`the server cannot be reached: ${name}`)
  const isFinal = responseCode >= 500 && (name === 'EENVELOPE' || name === 'EMESSAGE')
  const said = `the server refused the message: ${responseCode}`
  return isFinal ? new MessageRefused(said) : new DeliveryError(said)
}
