import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'

/** What is changed about agents that live, and what is known of them afterwards. */
export function addAgentChanges(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  verb(
    program,
    'narrow <agent>',
    'Take from what an agent may do, for good.',
    "sallyport narrow a_3fd --allow 'orders-db:read'",
  )
    .requiredOption(
      '--allow <permit>',
      'what it keeps at most; repeatable',
      (value: string, before: string[] | undefined) => [...(before ?? []), value],
    )
    .action(async (agent: string, flags: { allow: string[] }, command: Command) => {
      finish(
        await (await import('./verbs/agent-changes.ts')).narrow(contextOf(command), agent, flags),
      )
    })
  verb(program, 'renew <agent>', "Move an agent's end.", 'sallyport renew a_3fd --ttl 2h')
    .requiredOption('--ttl <duration>', 'how long it lasts from now on')
    .action(async (agent: string, flags: { ttl: string }, command: Command) => {
      finish(
        await (await import('./verbs/agent-changes.ts')).renew(contextOf(command), agent, flags),
      )
    })
  verb(
    program,
    'lineage <agent>',
    'Print where an agent comes from, signed.',
    'sallyport lineage a_3fd > lineage.json',
  ).action(async (agent: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/agent-history.ts')).lineage(contextOf(command), agent))
  })
  verb(
    program,
    'revocation <number>',
    'Show what became of an end or a freeze at the workers.',
    'sallyport revocation 12',
  ).action(async (epoch: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/agent-history.ts')).revocation(contextOf(command), epoch))
  })
  verb(
    program,
    'events',
    'Print what becomes of agents as it happens, until Ctrl-C.',
    'sallyport events',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/agent-history.ts')).events(contextOf(command)))
  })
}
