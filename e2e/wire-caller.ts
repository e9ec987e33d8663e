import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { ScramClientExchange } from '@sallyport/core'
import { ScriptedPeer } from '@sallyport/testkit'
import {
  decodeBackend,
  encodeCancelRequest,
  encodeQuery,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeStartupMessage,
  encodeSync,
  encodeTerminate,
  type BackendMessage,
} from '@sallyport/wire'

/** Where a raw caller connects, and as whom. */
export interface Door {
  readonly port: number
  readonly user: string
  readonly password: string
  /** `postgres` where it is not said. */
  readonly database?: string
}

/** A row of this ends every conversation, so that a transcript never ends too early or waits for what won't come. */
const lastWords = 'nothing more comes'

/** Brings a session back to idle from wherever a conversation left it, and makes it say so. */
const farewell: readonly Buffer[] = [
  encodeSync(),
  encodeQuery('rollback'),
  encodeQuery(`select '${lastWords}'`),
]

/** Speaks protocol 3 in single messages, in plain text, in whatever order a test asks for. */
export class WireCaller implements AsyncDisposable {
  readonly #peer: ScriptedPeer
  cancelKey: { processId: number; key: Buffer } = { processId: 0, key: Buffer.alloc(4) }

  private constructor(peer: ScriptedPeer) {
    this.#peer = peer
  }

  /** Logs in, on a connection of its own or on the one given. */
  static async open(door: Door, peer?: ScriptedPeer): Promise<WireCaller> {
    const caller = new WireCaller(peer ?? (await ScriptedPeer.connect(door.port)))
    await caller.#logIn(door)
    return caller
  }

  send(...messages: readonly Buffer[]): void {
    this.#peer.send(Buffer.concat(messages))
  }

  /** The next message, decoded. */
  async next(): Promise<BackendMessage> {
    const head = await this.#peer.read(5)
    const body = await this.#peer.read(head.readInt32BE(1) - 4)
    return decodeBackend(head.readUInt8(0), Buffer.from(body))
  }

  /** Messages up to one of the given kind, in words. */
  async until(kind: BackendMessage['kind']): Promise<string[]> {
    const lines: string[] = []
    for (;;) {
      const message = await this.next()
      lines.push(inWords(message))
      if (message.kind === kind) return lines
    }
  }

  /** Sends the messages with a farewell behind them, and returns all that comes back, in words. */
  async converse(messages: readonly Buffer[], delivery: Delivery = 'at once'): Promise<string[]> {
    const all = [...messages, ...farewell]
    switch (delivery) {
      case 'at once':
        this.send(...all)
        break
      case 'message by message':
        for (const message of all) await this.#sendAndYield(message)
        break
      case 'byte by byte':
        for (const byte of Buffer.concat(all)) await this.#sendAndYield(Uint8Array.of(byte))
    }
    const lines: string[] = []
    for (;;) {
      const message = await this.next()
      lines.push(inWords(message))
      if (message.kind === 'DataRow' && message.values[0]?.toString() === lastWords) {
        return [...lines, ...(await this.until('ReadyForQuery'))]
      }
    }
  }

  /** Waits for the end of the connection, and fails where anything comes before it. */
  async expectEnd(): Promise<void> {
    await this.#peer.expectEnd()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#peer.send(encodeTerminate())
    await this.#peer[Symbol.asyncDispose]()
  }

  async #sendAndYield(bytes: Uint8Array): Promise<void> {
    this.#peer.send(bytes)
    await new Promise((resolve) => setImmediate(resolve))
  }

  async #logIn(door: Door): Promise<void> {
    const { user, database = 'postgres' } = door
    const startup = { user, database, application_name: 'wire' }
    this.send(encodeStartupMessage(new Map(Object.entries(startup))))
    let scram: ScramClientExchange | undefined
    for (;;) {
      const message = await this.next()
      if (message.kind === 'ReadyForQuery') return
      if (message.kind === 'ErrorResponse') throw new Error(inWords(message))
      if (message.kind === 'BackendKeyData') {
        this.cancelKey = { processId: message.processId, key: message.key }
      } else if (message.kind === 'AuthenticationSASL') {
        scram = new ScramClientExchange({
          password: door.password,
          clientNonce: randomBytes(18).toString('base64'),
          offered: message.mechanisms,
        })
        const { mechanism, message: text } = scram.first()
        this.send(encodeSaslInitialResponse({ mechanism, data: Buffer.from(text) }))
      } else if (message.kind === 'AuthenticationSASLContinue') {
        const proof = await scram?.continue(message.data.toString())
        this.send(encodeSaslResponse(Buffer.from(proof ?? '')))
      }
    }
  }
}

/** How the bytes of a conversation reach the other side. */
export type Delivery = 'at once' | 'message by message' | 'byte by byte'

/** Sends a cancel request on a connection that is open already. */
export function sendCancel(peer: ScriptedPeer, { cancelKey }: WireCaller): void {
  peer.send(encodeCancelRequest(cancelKey.processId, cancelKey.key))
}

/** A message as one line that says all it holds. */
export function inWords(message: BackendMessage): string {
  const { kind, ...rest } = message
  return `${kind} ${JSON.stringify(rest, (_key, value: unknown) => readable(value))}`
}

function readable(value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value)
  if (isBufferJson(value)) return Buffer.from(value.data).toString('latin1')
  return value
}

/** `JSON.stringify` has turned a buffer into this before it asks what to do with it. */
function isBufferJson(value: unknown): value is { data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
}

/** What a transcript looks like when the words of its errors do not count: kinds, tags, rows and status bytes. */
export function shape(lines: readonly string[]): string[] {
  assert.ok(lines.length > 0)
  return lines.map((line) => (line.startsWith('ErrorResponse') ? 'ErrorResponse' : line))
}
