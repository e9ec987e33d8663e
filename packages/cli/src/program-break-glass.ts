import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { GlassFlags } from './verbs/break-glass.ts'

/** The verbs of emergencies. */
export function addBreakGlassVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const collect = (value: string, before: string[]): string[] => [...before, value]
  const group = verb(
    program,
    'break-glass',
    'In an emergency: let commands run without the approvals that rules ask for. It is on record, and an incident is opened.',
    'sallyport break-glass --on orders-db --reason "orders are stuck, nobody of dba answers" --for 15m',
  )
    .option('--on <connection>', 'where; repeatable', collect, [])
    .option('--reason <text>', 'why; it stands in the ledger and in the incident', '')
    .option('--for <duration>', 'how long, as the grant allows', '15m')
    .option(
      '--agent <id>',
      'an agent of yours, and none below it (default: a fresh tree; inside an agent, that agent)',
    )
    .action(async (flags: GlassFlags, command: Command) => {
      const { breakGlass } = await import('./verbs/break-glass.ts')
      finish(await breakGlass(contextOf(command), flags))
    })
  verb(
    group,
    'list',
    'What was broken, by whom and why, newest first.',
    'sallyport break-glass list',
  ).action(async (_flags: unknown, command: Command) => {
    const { listGlasses } = await import('./verbs/break-glass.ts')
    finish(await listGlasses(contextOf(command)))
  })
  verb(group, 'end <glass>', 'End one before its time.', 'sallyport break-glass end bg_9q2').action(
    async (glass: string, _flags: unknown, command: Command) => {
      const { endGlass } = await import('./verbs/break-glass.ts')
      finish(await endGlass(contextOf(command), glass))
    },
  )
}
