import { DeliveryError } from '../../../exports/delivery/destination.ts'
import type { SlackChannel as SlackConfig } from '../config/channel-config.ts'
import { callSlack } from './slack-api.ts'

/** Who may hold the socket of a channel: one gateway at a time. */
export interface SocketLease {
  /** Takes it, or keeps it; false where another holds it. */
  hold(): Promise<boolean>
  release(): Promise<void>
}

export interface SlackSocketOptions {
  readonly config: SlackConfig
  readonly lease: SocketLease
  /** Something was pressed. Never rejects. */
  readonly onInteraction: (payload: unknown) => Promise<void>
  readonly onFault: (error: unknown) => void
  readonly now: () => number
  /** The first wait after a failure, in milliseconds. */
  readonly retryMsFirst?: number
}

const leaseEveryMs = 10_000
const retryMsFirst = 1000
const retryMsMax = 60_000
/** A message of Slack is smaller; the client of the platform has no limit of its own. */
const messageCharsMax = 200_000

/** Holds the WebSocket of Socket Mode: connects anew where it ends, before it ends where Slack says so, and answers each envelope at once. */
export class SlackSocket {
  readonly #options: SlackSocketOptions
  readonly #stopped = new AbortController()
  #running: Promise<void> | undefined
  #open = new Set<WebSocket>()
  #failing = false

  constructor(options: SlackSocketOptions) {
    this.#options = options
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    for (const socket of this.#open) socket.close()
    await this.#running
  }

  async #run(): Promise<void> {
    const { lease, onFault, retryMsFirst: first = retryMsFirst } = this.#options
    let waitMs = first
    while (!this.#stopped.signal.aborted) {
      try {
        if (await lease.hold()) {
          await this.#hold()
          waitMs = first
          this.#failing = false
          continue
        }
        await this.#sleep(leaseEveryMs)
      } catch (error) {
        if (this.#stopped.signal.aborted) break
        if (!this.#failing) onFault(error)
        this.#failing = true
        const asked = error instanceof DeliveryError ? (error.retryAfterMs ?? 0) : 0
        await this.#sleep(Math.max(waitMs * (0.5 + Math.random() / 2), asked))
        waitMs = Math.min(waitMs * 2, retryMsMax)
      }
    }
    await lease.release().catch(onFault)
  }

  /** Resolves when a socket that was open is to be followed by another. */
  async #hold(): Promise<void> {
    const { config, now, lease } = this.#options
    const { api, appToken } = config
    if (appToken === undefined) throw new DeliveryError('there is no token of the app')
    const { signal } = this.#stopped
    const answer = await callSlack({ api, now }, 'apps.connections.open', appToken, {}, signal)
    const url = socketUrl(answer['url'], api)
    const socket = new WebSocket(url)
    this.#open.add(socket)
    const over = Promise.withResolvers<void>()
    const hello = Promise.withResolvers<void>()
    // Whoever loses the lease lets go: two that answer one press would tell people two things.
    const keeping = setInterval(() => {
      lease.hold().then(
        (isHeld) => (isHeld ? undefined : socket.close()),
        () => socket.close(),
      )
    }, leaseEveryMs)
    keeping.unref()
    socket.addEventListener('message', ({ data }) => {
      const kind = this.#take(socket, data)
      if (kind === 'hello') hello.resolve()
      // Slack opens the next before it closes this one, and what is under way is answered here.
      if (kind === 'refresh') over.resolve()
    })
    socket.addEventListener('error', () => hello.reject(new DeliveryError('the socket failed')))
    socket.addEventListener('close', () => {
      clearInterval(keeping)
      this.#open.delete(socket)
      hello.reject(new DeliveryError('the socket was closed'))
      over.resolve()
    })
    await hello.promise
    await over.promise
  }

  /** What kind of message it was. */
  #take(socket: WebSocket, data: unknown): 'hello' | 'refresh' | 'other' {
    const message = messageIn(data)
    const { type, envelope_id: envelope, payload } = message
    if (type === 'hello') return 'hello'
    if (type === 'disconnect') return 'refresh'
    if (typeof envelope !== 'string') return 'other'
    // Within three seconds, whatever becomes of it.
    socket.send(JSON.stringify({ envelope_id: envelope }))
    if (type === 'interactive') void this.#options.onInteraction(payload)
    return 'other'
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    timer.unref()
    const stop = (): void => resolve()
    this.#stopped.signal.addEventListener('abort', stop, { once: true })
    if (this.#stopped.signal.aborted) resolve()
    await promise
    clearTimeout(timer)
    this.#stopped.signal.removeEventListener('abort', stop)
  }
}

/** Encrypted, but for where the API itself is on this machine. */
function socketUrl(url: unknown, api: string): string {
  const text = typeof url === 'string' && URL.canParse(url) ? url : ''
  const wanted = new URL(api).protocol === 'https:' ? 'wss:' : 'ws:'
  if (text !== '' && new URL(text).protocol === wanted) return text
  throw new DeliveryError('Slack gave no address of a socket')
}

function messageIn(data: unknown): Readonly<Record<string, unknown>> {
  if (typeof data !== 'string' || data.length > messageCharsMax) return {}
  try {
    const message: unknown = JSON.parse(data)
    return typeof message === 'object' && message !== null ? { ...message } : {}
  } catch {
    return {}
  }
}
