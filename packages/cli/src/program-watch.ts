import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { ReplayFlags } from './verbs/replay.ts'

/** The verbs that show sessions: as they were, and as they go on. */
export function addWatchVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  verb(
    program,
    'replay <session>',
    'Play a recorded session; any unique start of its id will do. On a terminal keys pause, seek and search.',
    "sallyport replay s_4tq --speed 4 --at '#12'",
  )
    .option('--at <place>', 'begin at a command (#12) or a time, UTC (14:10:03, 2026-11-20T14:10)')
    .option('--speed <n>', 'how many times as fast as it happened (default: 1)')
    .option('--idle-limit <duration>', 'cut longer waits to this (default: 2s)')
    .option('--only <what>', 'decisions: what was blocked, held, refused or masked')
    .option('--text', 'at once, without colours: what a pipe gets', false)
    .action(async (session: string, flags: ReplayFlags, command: Command) => {
      const { replay } = await import('./verbs/replay.ts')
      finish(await replay(contextOf(command), session, flags))
    })
  verb(
    program,
    'watch [what]',
    'Show sessions while they go on: one session, an agent with all below it, or what a search asks for; all without a name. On a terminal k kills and f freezes the agent.',
    "sallyport watch 'tree:a_77k verdict:blocked'",
  )
    .option('--only <what>', 'decisions: what was blocked, held, refused or masked')
    .action(async (what: string | undefined, flags: { only?: string }, command: Command) => {
      const { watch } = await import('./verbs/watch.ts')
      finish(await watch(contextOf(command), what ?? '', flags.only))
    })
}
