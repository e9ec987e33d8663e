import { open, rename, rm, stat } from 'node:fs/promises'
import { SallyportError } from '@sallyport/core'
import type { Asked } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'

export interface ExportFlags {
  readonly as: string
  readonly file?: string
  readonly force: boolean
}

const endings: Readonly<Record<string, string>> = {
  zip: 'zip',
  csv: 'csv',
  cast: 'cast',
  html: 'html',
  ndjson: 'jsonl',
  text: 'txt',
}

type Form = NonNullable<Asked<'GET /v1/sessions/{session}'>['query']>['as']

/** Writes an export to a file, whole or not at all. */
export async function exportSessions(
  context: VerbContext,
  sessions: readonly string[],
  { as, file, force }: ExportFlags,
): Promise<number> {
  const ending = endings[as]
  if (ending === undefined)
    throw usage(`--as takes ${Object.keys(endings).join(', ')}; not "${as}"`)
  if (as !== 'zip' && sessions.length > 1) throw usage(`--as ${as} takes one session`)
  const [first = ''] = sessions
  const path = file ?? `${sessions.length === 1 ? first : 'sallyport-export'}.${ending}`
  const api = await context.api()
  const pieces =
    as === 'zip'
      ? api.bytes('GET /v1/exports', { query: { session: sessions } })
      : api.bytes('GET /v1/sessions/{session}', {
          params: { session: first },
          query: { as: as as Form },
        })
  if (path === '-') {
    for await (const piece of pieces) context.output.data(piece)
    return EXIT.done
  }
  if (!force && (await stat(path).catch(() => undefined)) !== undefined)
    throw usage(
      `${path} is there already. Name another file with --file, or replace it with --force.`,
    )
  const bytes = await writeFileWhole(path, pieces)
  await printOne(context.output, { file: path, bytes }, `${path}: ${bytes} bytes\n`, path)
  return EXIT.done
}

/** What was recorded is for its reader alone, so nobody else can open the file. */
const fileMode = 0o600

/** Writes a file whole or not at all, and says how many bytes. */
export async function writeFileWhole(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
): Promise<number> {
  const draft = `${path}.${process.pid}.draft`
  let bytes = 0
  try {
    await using handle = await open(draft, 'wx', fileMode)
    for await (const piece of pieces) {
      await handle.writeFile(piece)
      bytes += piece.length
    }
    await handle.sync()
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await rename(draft, path)
  return bytes
}

function usage(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
