import type { Command } from 'commander'
import { contextOf } from './context.ts'
import { addIncidentVerbs } from './program-incidents.ts'
import { addWatchVerbs } from './program-watch.ts'
import { addRetentionVerbs } from './program-retention.ts'
import type { MakeVerb } from './program.ts'
import type { ExportFlags } from './verbs/export.ts'
import type { VerifyFlags } from './verbs/verify.ts'
import type { SearchFlags } from './verbs/search.ts'

/** The verbs that take recordings out of the gateway, and prove them. */
export function addRecordingVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  addSearchVerbs(program, verb, finish)
  addRetentionVerbs(program, verb, finish)
  verb(
    program,
    'export <session...>',
    'Write recordings to a file: an archive that proves itself, or one session to read or play.',
    'sallyport export s_4tq s_4tr --file evidence.zip',
  )
    .option('--as <form>', 'zip; of one session also csv, cast, html, ndjson, text', 'zip')
    .option('--file <path>', 'where to; "-" is standard output (default: by session and form)')
    .option('--force', 'replace a file that is there', false)
    .action(async (sessions: string[], flags: ExportFlags, command: Command) => {
      finish(
        await (
          await import('./verbs/export.ts')
        ).exportSessions(contextOf(command), sessions, flags),
      )
    })
  addExportVerbs(program, verb, finish)
  verb(
    program,
    'verify [place]',
    'Check recordings against their chains, seals and anchors: those of the data folder, of a bucket, of one session, or of an export. No gateway needs to run.',
    'sallyport verify evidence.zip',
  )
    .option('--key <file>', 'the recording key, where the place is a store without a data folder')
    .option(
      '--signed-by <key>',
      "a key that is known to be the gateway's: its thumbprint, or a file with the public key; repeatable",
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option(
      '--anchors <place>',
      'compare with copies of the anchors in a folder or bucket; repeatable',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .action(async (place: string | undefined, flags: VerifyFlags, command: Command) => {
      finish(await (await import('./verbs/verify.ts')).verify(contextOf(command), place, flags))
    })
  const group = verb(
    program,
    'keys',
    'Show the keys that recordings are signed with; rotate makes a new one.',
    'sallyport keys',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/keys.ts')).keys(contextOf(command)))
  })
  verb(
    group,
    'rotate',
    'Sign recordings with a new key from now on. The old one signs that, and is forgotten.',
    'sallyport keys rotate',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/keys.ts')).rotateKey(contextOf(command)))
  })
}

/** What the gateway itself tells to others, as the files of the folder `exports` say. */
function addExportVerbs(program: Command, verb: MakeVerb, finish: (code: number) => void): void {
  const group = verb(
    program,
    'exports',
    'What is told to other systems: list how far it is, test a receiver.',
    'sallyport exports list',
  )
  verb(group, 'list', 'List exports, and how far each is behind.', 'sallyport exports list').action(
    async (_flags: unknown, command: Command) => {
      finish(await (await import('./verbs/exports.ts')).listExports(contextOf(command)))
    },
  )
  verb(
    group,
    'test <name>',
    'Send an event that says that it is a test.',
    'sallyport exports test siem',
  ).action(async (name: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/exports.ts')).testExport(contextOf(command), name))
  })
}

function addSearchVerbs(program: Command, verb: MakeVerb, finish: (code: number) => void): void {
  verb(
    program,
    'sessions [query...]',
    'List the newest sessions, or search what was run in all of them.',
    `sallyport sessions 'tree:a_5qx verdict:blocked text:"delete from" since:7d'`,
  )
    .option('--limit <n>', 'sessions to show of a search', '20')
    .option('--after <place>', 'go on where a search said that there is more')
    .action(async (query: string[], flags: SearchFlags, command: Command) => {
      const context = contextOf(command)
      const verbs =
        query.length === 0 ? await import('./verbs/sessions.ts') : await import('./verbs/search.ts')
      finish(await verbs.sessions(context, query.join(' '), flags))
    })
  addWatchVerbs(program, verb, finish)
  addIncidentVerbs(program, verb, finish)
  verb(
    program,
    'ledger [query...]',
    'List what the control plane did, newest first: who, what, to what and from where.',
    `sallyport ledger 'what:agent.* actor:dana since:7d'`,
  )
    .option('--limit <n>', 'facts to show', '50')
    .option('--after <place>', 'go on where a list said that there is more')
    .action(async (query: string[], flags: SearchFlags, command: Command) => {
      const { ledger } = await import('./verbs/ledger.ts')
      finish(await ledger(contextOf(command), query.join(' '), flags))
    })
  verb(
    program,
    'reindex',
    'Make the index of searches again from the recordings; nothing else waits for it.',
    'sallyport reindex',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/reindex.ts')).reindex(contextOf(command)))
  })
}
