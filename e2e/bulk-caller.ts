import type { Socket } from 'node:net'
import { Client } from 'pg'
import {
  BackendType,
  FrameSplitter,
  decodeErrorResponse,
  encodeCopyData,
  encodeCopyDone,
  encodeQuery,
  frameBody,
  frameEnd,
  frameType,
} from '@sallyport/wire'
import type { TestGateway } from './test-gateway.ts'

/** How a caller of a test logs in. One credential serves any number of them. */
export interface BulkLogin {
  readonly user: string
  readonly secret: string
  readonly tls: boolean
}

/** What a statement brought back, counted and not kept. */
export interface BulkOutcome {
  readonly rows: number
  readonly bytes: number
  /** SQLSTATE and text of an error; undefined where there was none. */
  readonly error: string | undefined
}

/** A row longer than this is not what these tests ask for. */
const messageBytesMax = 128 * 1024 * 1024

export async function bulkLogin(gateway: TestGateway, tls: boolean): Promise<BulkLogin> {
  return { ...(await gateway.credential()), tls }
}

/** A driver's session. Its loss is read from queries, so the event itself is not an error here. */
export async function openClient(gateway: TestGateway, login: BulkLogin): Promise<Client> {
  const client = new Client({
    host: '127.0.0.1',
    port: gateway.gateway.ports.postgres,
    user: login.user,
    password: login.secret,
    database: gateway.postgres.database,
    ...(login.tls ? { ssl: { rejectUnauthorized: false } } : {}),
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Reads and writes the protocol itself, because a driver keeps every row: gigabytes pass, and nothing stays. */
export class BulkCaller {
  readonly #socket: Socket
  readonly #splitter = new FrameSplitter(messageBytesMax)
  readonly #look: (chunk: Buffer) => void
  #rows = 0
  #bytes = 0
  #error: string | undefined
  #wake: (() => void) | undefined
  /** The last message that says whose turn it is. */
  #last = 0

  private constructor(client: Client, look: (chunk: Buffer) => void) {
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
    this.#socket = stream
    this.#look = look
    stream.removeAllListeners('data')
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('drain', () => this.#wake?.())
    stream.on('close', () => this.#wake?.())
  }

  /** With `look`, a test sees every piece as it comes. */
  static async open(
    gateway: TestGateway,
    login: BulkLogin,
    look: (chunk: Buffer) => void = () => undefined,
  ): Promise<BulkCaller> {
    return new BulkCaller(await openClient(gateway, login), look)
  }

  async query(sql: string): Promise<BulkOutcome> {
    await this.#write(encodeQuery(sql))
    return await this.#outcome()
  }

  /** Sends `data` as one CopyData message each. */
  async copyIn(sql: string, data: Iterable<Buffer>): Promise<BulkOutcome> {
    this.#socket.write(encodeQuery(sql))
    await this.#until(BackendType.copyInResponse)
    if (this.#last === BackendType.copyInResponse) {
      for (const piece of data) await this.#write(encodeCopyData(piece))
      this.#socket.write(encodeCopyDone())
    }
    return await this.#outcome()
  }

  end(): void {
    this.#socket.destroy()
  }

  /** A gateway that refuses a message may close before all of it is written. */
  async #write(bytes: Buffer): Promise<void> {
    if (this.#socket.write(bytes)) return
    while (!this.#socket.destroyed && this.#socket.writableNeedDrain) await this.#event()
  }

  async #outcome(): Promise<BulkOutcome> {
    await this.#until(BackendType.readyForQuery)
    const outcome = { rows: this.#rows, bytes: this.#bytes, error: this.#error }
    this.#rows = 0
    this.#bytes = 0
    this.#error = undefined
    this.#last = 0
    return outcome
  }

  /** Resolves at that message, at ReadyForQuery, or at the end of the connection. */
  async #until(type: number): Promise<void> {
    while (!this.#socket.destroyed && ![type, BackendType.readyForQuery].includes(this.#last)) {
      await this.#event()
    }
  }

  async #event(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  #read(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#look(chunk)
    const whole = this.#splitter.push(chunk)
    for (let at = 0; at < whole.length; at = frameEnd(whole, at)) {
      const type = frameType(whole, at)
      if (type === BackendType.dataRow) this.#rows += 1
      else if (type === BackendType.errorResponse) {
        const { fields } = decodeErrorResponse(frameBody(whole, at))
        this.#error = `${fields.get('C')} ${fields.get('M')} ${fields.get('H') ?? ''}`
      }
      if (type === BackendType.readyForQuery || type === BackendType.copyInResponse) {
        this.#last = type
        this.#wake?.()
      }
    }
  }
}
