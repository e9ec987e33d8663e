import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'

/** The verbs that say how long recordings are kept. */
export function addRetentionVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const retention = verb(
    program,
    'retention',
    'Erase recordings whose time is over, as retention.yaml in the data folder says.',
    'sallyport retention plan',
  )
  verb(
    retention,
    'plan',
    'Show what would be erased now and why, and what is kept though its time is over.',
    'sallyport retention plan',
  ).action(async (_flags: unknown, command: Command) => {
    const { planRetention } = await import('./verbs/retention.ts')
    finish(await planRetention(contextOf(command)))
  })
  verb(
    retention,
    'apply',
    'Erase what a plan would show now. It cannot be undone.',
    'sallyport retention apply',
  ).action(async (_flags: unknown, command: Command) => {
    const { applyRetention } = await import('./verbs/retention.ts')
    finish(await applyRetention(contextOf(command)))
  })
  const hold = verb(
    program,
    'hold',
    'Keep recordings, whatever retention says (legal hold).',
    'sallyport hold list',
  )
  verb(
    hold,
    'add <subject>',
    'Keep a session, or all sessions of an agent and of those below it.',
    'sallyport hold add a_5qx0c7m2v9k1d --reason "case 4711"',
  )
    .requiredOption('--reason <text>', 'why, for the ledger and for whoever finds the hold')
    .action(async (subject: string, flags: { reason: string }, command: Command) => {
      const { addHold } = await import('./verbs/retention.ts')
      finish(await addHold(contextOf(command), subject, flags.reason))
    })
  verb(hold, 'list', 'List the holds in force.', 'sallyport hold list').action(
    async (_flags: unknown, command: Command) => {
      const { listHolds } = await import('./verbs/retention.ts')
      finish(await listHolds(contextOf(command)))
    },
  )
  verb(
    hold,
    'remove <id>',
    'Let go of what a hold kept.',
    'sallyport hold remove ho_2f5e6kq8r1s3t --reason "case closed"',
  )
    .requiredOption('--reason <text>', 'why')
    .action(async (id: string, flags: { reason: string }, command: Command) => {
      const { removeHold } = await import('./verbs/retention.ts')
      finish(await removeHold(contextOf(command), id, flags.reason))
    })
}
