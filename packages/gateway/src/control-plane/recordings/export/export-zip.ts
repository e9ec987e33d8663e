import { Buffer } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { SallyportError, storeKeys, type ObjectSource } from '@sallyport/core'
import { SessionPrinter, sessionJson } from '../print-session.ts'
import { sessionEntries, sessionKeyOf, type RecordingSources } from '../recordings.ts'
import { manifestName, type ExportManifest } from './export-manifest.ts'
import { ZipWriter } from './zip-writer.ts'

/** What an export is made of. */
export interface ExportRequest {
  readonly sources: RecordingSources
  /** Whole ids. */
  readonly sessions: readonly string[]
  /** Numbers of the first and the last anchor that name one of the sessions; undefined where none does. */
  readonly anchors: { readonly first: number; readonly last: number } | undefined
  readonly exportedAt: Date
  /** Files to be read beside the recordings: they are made from these. */
  readonly reports?: readonly {
    readonly name: string
    readonly text: string
    readonly about: string
  }[]
}

const verifyFile = new URL('../../../../assets/verify.mjs', import.meta.url)
const transcriptWidth = 200

/**
 * An archive that proves what happened to somebody who has nothing else: the sealed recordings with their keys, the anchors
 * around them, a verifier, and transcripts to read. Streamed: no recording stands in memory as a whole.
 */
export async function* exportZip(request: ExportRequest): AsyncGenerator<Uint8Array> {
  const archive = new ZipWriter()
  yield* archive.file('README.txt', Buffer.from(readme(request)))
  yield* archive.file('verify.mjs', await readFile(verifyFile))
  for (const { name, text } of request.reports ?? []) yield* archive.file(name, Buffer.from(text))
  const manifest = await manifestOf(request)
  yield* archive.file(manifestName, Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`))
  for await (const key of objectsOf(request)) {
    const bytes = await request.sources.recordings.get(key)
    if (bytes !== undefined) yield* archive.file(key, bytes)
  }
  for (const session of request.sessions) {
    yield* archive.stream(`transcripts/${session}.txt`, transcript(request.sources, session))
    yield* archive.stream(`entries/${session}.jsonl`, entries(request.sources, session))
  }
  yield* archive.end()
}

/** The objects that an archive holds, for who verifies them before it is made. */
export async function exportSource(request: ExportRequest): Promise<ObjectSource> {
  const keys: string[] = []
  for await (const key of objectsOf(request)) keys.push(key)
  keys.sort()
  return {
    get: async (key) => await request.sources.recordings.get(key),
    async *list(prefix) {
      for (const key of keys) if (key.startsWith(prefix)) yield await Promise.resolve(key)
    },
  }
}

async function manifestOf(request: ExportRequest): Promise<ExportManifest> {
  const { recordings, recordingKey } = request.sources
  const sessions = []
  for (const session of request.sessions) {
    const key = await sessionKeyOf(recordings, recordingKey, session)
    if (key === undefined)
      throw new SallyportError(
        'SP_NOT_FOUND',
        `the key of ${session} was erased, or is another one's`,
      )
    sessions.push({ session, key: key.toString('base64') })
  }
  return { type: 'sallyport.export.1', exportedAt: request.exportedAt.toISOString(), sessions }
}

async function* objectsOf({ sources, sessions, anchors }: ExportRequest): AsyncGenerator<string> {
  yield* sources.recordings.list(storeKeys.publicKeys)
  yield* sources.recordings.list(storeKeys.keyChanges)
  for (let at = anchors?.first ?? 0; at <= (anchors?.last ?? -1); at += 1)
    yield storeKeys.anchor(at)
  for (const session of sessions) yield* sources.recordings.list(`${storeKeys.sessions(session)}/`)
}

async function* transcript(sources: RecordingSources, session: string): AsyncGenerator<string> {
  const printer = new SessionPrinter(transcriptWidth)
  for await (const item of sessionEntries(sources, session)) yield printer.print(item)
}

async function* entries(sources: RecordingSources, session: string): AsyncGenerator<string> {
  for await (const item of sessionEntries(sources, session)) yield `${sessionJson(item)}\n`
}

function readme({ sessions, exportedAt, reports = [] }: ExportRequest): string {
  const first = reports.map(({ name, about }) => `${name.padEnd(13)} ${about}\n`).join('')
  return `Sallyport recordings, exported ${exportedAt.toISOString()}

Sessions: ${sessions.join(', ')}

${first}transcripts/  what was asked, decided and answered, to be read
entries/      the same, one JSON object a line
sessions/     the recordings as they were sealed, with what the gateway signed of each
anchors/      where the gateway said, signed, that all its recordings stood
signing-keys/ the public keys of these signatures
key-changes/  where one of these keys says that another one follows it
export.json   the keys that open the recordings: whoever has this archive can read them

To check that nothing was changed and nothing is missing, with Node 22.15 or newer and nothing else:

    node verify.mjs

It reads only the sealed recordings. Transcripts, entries and reports are for reading; they are made from these.
Whether the signing keys are those of the gateway, ask whoever runs it: the thumbprint is printed. To have it compared:

    node verify.mjs . THUMBPRINT
`
}
