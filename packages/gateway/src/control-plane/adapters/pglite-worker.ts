/** Entry of the embedded database's thread; `PgliteThread` starts it. */
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { openPglite } from '../../pglite/open-pglite.ts'
import { keptLogBytes } from './checkpoint-guard.ts'

/** A checkpoint keeps what recovery from the one before needs, and no more. */
const settings = [
  ['-c', `wal_keep_size=${keptLogBytes / 1024 / 1024}MB`],
  ['-c', 'max_wal_size=64MB'],
  ['-c', 'min_wal_size=32MB'],
].flat()

/** Sent once the database can be asked. */
export interface PgliteReady {
  readonly kind: 'ready'
}

/** What was asked, or `close`. */
export type PgliteAsk =
  | { readonly id: number; readonly bytes: Uint8Array }
  | { readonly id: number; readonly close: true }

export type PgliteAnswer =
  | { readonly kind: 'answer'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }

const port = parentPort
if (port === null) throw new TypeError('this is the entry of a thread')
const lite = await opened(String(workerData))
const say = (message: PgliteReady | PgliteAnswer): void => port.postMessage(message)

async function opened(dir: string): Promise<PGlite> {
  try {
    return await openPglite(dir, {
      extensions: { pg_trgm },
      startParams: [...PGlite.defaultStartParams, ...settings],
    })
  } catch (error) {
    // The file system of the WebAssembly build throws plain objects.
    const why = error instanceof Error ? error.message : JSON.stringify(error)
    throw new Error(`the embedded database in ${dir} cannot be opened: ${why}`, { cause: error })
  }
}

async function answer(ask: PgliteAsk): Promise<void> {
  try {
    if ('close' in ask) await lite.close()
    // A copy: what the database returns is a view of its memory.
    const bytes =
      'close' in ask ? new Uint8Array() : new Uint8Array(await lite.execProtocolRaw(ask.bytes))
    port?.postMessage({ kind: 'answer', id: ask.id, bytes } satisfies PgliteAnswer, [bytes.buffer])
    if ('close' in ask) port?.close()
  } catch (error) {
    say({
      kind: 'failed',
      id: ask.id,
      message: error instanceof Error ? error.message : String(error),
    })
  }
}

// One at a time and in order: they are the messages of one connection.
let last = Promise.resolve()
port.on('message', (ask: PgliteAsk) => {
  last = last.then(async () => await answer(ask))
})
say({ kind: 'ready' })
