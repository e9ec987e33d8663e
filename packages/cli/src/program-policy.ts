import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { TryFlags } from './verbs/policy-try.ts'

/** Verbs around policies: `policy try`, `policy observed`, `policy explain`. */
export function addPolicyVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const group = verb(
    program,
    'policy',
    'Try policies, and see what rules in observe mode would have done.',
    'sallyport policy try guardrails/postgres.yaml',
  )
  verb(
    group,
    'try <file>',
    'Put a policy into the data folder in observe mode: it is recorded what its rules would do, and nothing changes.',
    'sallyport policy try guardrails/postgres.yaml',
  )
    .option('--enforce', 'its rules act from now on')
    .option('--off', 'take it out again')
    .action(async (file: string, flags: TryFlags, command: Command) => {
      finish(
        await (await import('./verbs/policy-try.ts')).tryPolicy(contextOf(command), file, flags),
      )
    })
  verb(
    group,
    'observed',
    'Count what rules in observe mode would have done, in the newest sessions.',
    'sallyport policy observed',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/policy-observed.ts')).observed(contextOf(command)))
  })
  verb(
    group,
    'explain <decision>',
    'Say why a command was refused, or by which way its masked columns came. Also: SESSION#NUMBER, as replay counts.',
    'sallyport policy explain d_7k3f0m2q1x8ab',
  ).action(async (what: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/policy-explain.ts')).explain(contextOf(command), what))
  })
}
