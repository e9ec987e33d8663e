import { SallyportError } from '@sallyport/core'
import {
  BackendType,
  decodeDataRow,
  decodeErrorResponse,
  encodeQuery,
  frameBody,
  frameType,
  WireError,
} from '@sallyport/wire'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import type { Ask } from './catalog-rows.ts'
import { FrameSource } from './frame-source.ts'
import { dialTarget, type Target } from './target-login.ts'

/** A description row is far below this. */
const messageBytesMax = 16 * 1024 * 1024

/** A catalog with many thousand relations takes seconds; longer means that the target hangs. */
const waitMsMax = 30_000

/** Asks a target over a connection of the gateway's own, which ends with `work`. */
export async function withTarget<T>(
  config: ConnectionConfig,
  parameters: Readonly<Record<string, string>>,
  work: (ask: Ask) => Promise<T>,
): Promise<T> {
  const target = await dialTarget(
    config,
    new Map([['client_encoding', 'UTF8'], ...Object.entries(parameters)]),
  )
  try {
    const source = new FrameSource(target.socket, messageBytesMax, waitMsMax)
    return await work(async (sql) => await rowsOf({ target, source }, sql))
  } finally {
    target.socket.destroy()
  }
}

/** A connection, and what is read of it. */
interface Line {
  readonly target: Target
  readonly source: FrameSource
}

async function rowsOf({ target, source }: Line, sql: string): Promise<string[][]> {
  target.socket.resume()
  target.socket.write(encodeQuery(sql))
  const rows: string[][] = []
  for (;;) {
    const frame = await source.next().catch(unreachable)
    const type = frameType(frame, 0)
    if (type === BackendType.dataRow) {
      const { values } = decodeDataRow(frameBody(frame, 0))
      rows.push(values.map((value) => value?.toString() ?? ''))
    } else if (type === BackendType.errorResponse) {
      const { fields } = decodeErrorResponse(frameBody(frame, 0))
      throw new SallyportError(
        'SP_TARGET_UNREACHABLE',
        `reading the catalog: ${fields.get('M') ?? ''}`,
      )
    } else if (type === BackendType.readyForQuery) return rows
  }
}

/** It has hung up, or says nothing: no fault of the gateway's. */
function unreachable(error: unknown): never {
  if (error instanceof WireError) throw error
  const cause = error instanceof Error ? error : new Error(String(error))
  throw new SallyportError('SP_TARGET_UNREACHABLE', `reading the catalog: ${cause.message}`, {
    cause,
  })
}

/** A target has few places for connections, and a database with one can't be dropped. */
const idleMsMax = 5_000

/** A connection of the gateway's own that stays while questions come, one after the other. */
export class TargetLine {
  readonly #dial: () => Promise<Target>
  #line: Line | undefined
  #last: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined

  constructor(config: ConnectionConfig, parameters: Readonly<Record<string, string>>) {
    const settings = new Map([['client_encoding', 'UTF8'], ...Object.entries(parameters)])
    this.#dial = async () => await dialTarget(config, settings)
  }

  /** Asks once more over a new connection where the old one has ended. */
  readonly ask: Ask = async (sql) => {
    const answer = this.#last.then(async () => {
      const wasOpen = this.#line !== undefined
      try {
        return await this.#askNow(sql)
      } catch (error) {
        this.#close()
        if (!wasOpen) throw error
        return await this.#askNow(sql)
      }
    })
    this.#last = answer.catch(() => undefined)
    return await answer
  }

  async #askNow(sql: string): Promise<string[][]> {
    clearTimeout(this.#idle)
    this.#line ??= await this.#open()
    const { socket } = this.#line.target
    socket.ref()
    const rows = await rowsOf(this.#line, sql)
    // Nothing waits for a line that nobody asks over.
    socket.unref()
    this.#idle = setTimeout(() => this.#close(), idleMsMax).unref()
    return rows
  }

  async #open(): Promise<Line> {
    const target = await this.#dial()
    return { target, source: new FrameSource(target.socket, messageBytesMax, waitMsMax) }
  }

  #close(): void {
    clearTimeout(this.#idle)
    this.#line?.target.socket.destroy()
    this.#line = undefined
  }
}
