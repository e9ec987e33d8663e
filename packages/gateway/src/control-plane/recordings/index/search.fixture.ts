import { Buffer } from 'node:buffer'
import type {
  CommandEntry,
  CommandId,
  DecisionId,
  Entry,
  ObjectName,
  SessionId,
  SessionOpenedEntry,
} from '@sallyport/core'

/** A session's first entry. */
export function openedEntry(
  session: string,
  of: Partial<Pick<SessionOpenedEntry, 'chain' | 'connection' | 'level'>> = {},
): SessionOpenedEntry {
  return {
    kind: 'session.opened',
    session: session as SessionId,
    worker: 0,
    connection: 'shop',
    database: 'main',
    credential: 'cr_1',
    chain: [{ id: 'a_1', name: 'dana' }],
    level: 2,
    application: 'psql',
    source: '127.0.0.1',
    tls: true,
    wrappedKey: Buffer.alloc(60),
    ...of,
  }
}

/** A command that reads, unless told otherwise. */
export function commandEntry(
  seq: number,
  text: string | Buffer,
  of: Partial<Pick<CommandEntry, 'effect' | 'rules' | 'class' | 'verb'>> & {
    objects?: readonly ObjectName[]
  } = {},
): CommandEntry {
  return {
    kind: 'command',
    id: `c_${seq}` as CommandId,
    seq,
    decision: `d_${seq}` as DecisionId,
    effect: 'allow',
    rules: [],
    class: 'read',
    verb: 'select',
    objects: [],
    text: Buffer.from(text),
    parameters: [],
    formats: [],
    policyVersion: 1,
    unit: 'query',
    ...of,
  }
}

export function endEntry(
  seq: number,
  of: Partial<Extract<Entry, { kind: 'response.end' }>> = {},
): Entry {
  return { kind: 'response.end', seq, status: 'complete', tag: '', rows: 0, bytes: 0, ...of }
}

/** A RowDescription of text columns, and one row of empty values. */
export function describedRows(...names: readonly string[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeUInt16BE(names.length)
  const columns = names.map((name) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]))
  const values = names.map(() => Buffer.alloc(4))
  return Buffer.concat([message('T', count, ...columns), message('D', count, ...values)])
}

function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
