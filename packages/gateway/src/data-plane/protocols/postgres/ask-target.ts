import { SallyportError } from '@sallyport/core'
import {
  BackendType,
  decodeDataRow,
  decodeErrorResponse,
  encodeQuery,
  frameBody,
  frameType,
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
    return await work(async (sql) => await rowsOf(target, source, sql))
  } finally {
    target.socket.destroy()
  }
}

async function rowsOf(target: Target, source: FrameSource, sql: string): Promise<string[][]> {
  target.socket.resume()
  target.socket.write(encodeQuery(sql))
  const rows: string[][] = []
  for (;;) {
    const frame = await source.next()
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
