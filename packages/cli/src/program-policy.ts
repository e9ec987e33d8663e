import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { ExplainFlags } from './verbs/policy-explain.ts'
import type { LintFlags } from './verbs/policy-lint.ts'
import type { SimulateFlags } from './verbs/policy-simulate.ts'
import type { TestFlags } from './verbs/policy-test.ts'
import type { TryFlags } from './verbs/policy-try.ts'

/** Verbs around policies: they look at files, at recorded decisions, and at what files would make of these. */
export function addPolicyVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const group = verb(
    program,
    'policy',
    'Check, test and try policies, and see why a command was decided as it was.',
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
  addFileVerbs(group, verb, finish)
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
    'explain [decision]',
    'Say why a command was decided as it was: rule by rule, by the facts and policies of then. Also: SESSION#NUMBER; or a command that is judged and not sent.',
    `sallyport policy explain --command 'drop table orders' --as agent:a_77k --on orders-db`,
  )
    .option('--command <text>', 'a command to judge, which is sent nowhere')
    .option('--as <agent>', 'the agent that would send it: agent:ID')
    .option('--on <connection>', 'where it would go')
    .option('--level <n>', 'attribution level that the session would have', '2')
    .action(async (what: string | undefined, flags: ExplainFlags, command: Command) => {
      const { explain } = await import('./verbs/policy-explain.ts')
      finish(await explain(contextOf(command), what, flags))
    })
  verb(
    group,
    'simulate <path...>',
    'Replay what was recorded against these policies, and list what would have changed; what loosens is listed apart.',
    'sallyport policy simulate policies/ --since 7d',
  )
    .option('--since <time>', 'how long ago, or from when: 7d, 2026-11-20', '7d')
    .option(
      '--fail-on <what>',
      'loosening: exit code 8 where something is loosened; or never',
      'never',
    )
    .action(async (paths: string[], flags: SimulateFlags, command: Command) => {
      const { simulate } = await import('./verbs/policy-simulate.ts')
      finish(await simulate(contextOf(command), paths, flags))
    })
  verb(
    group,
    'diff <path...>',
    'Compare policies in files with what the gateway serves. Exit code 8 where they differ.',
    'sallyport policy diff policies/',
  ).action(async (paths: string[], _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/policy-diff.ts')).diff(contextOf(command), paths))
  })
  verb(
    group,
    'record <command-or-session>',
    'Write tests that say of recorded commands what the rules said then, with literals replaced. By the id of a decision or a session.',
    'sallyport policy record s_4tq > tests/s_4tq.yaml',
  ).action(async (what: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/policy-record.ts')).record(contextOf(command), what))
  })
  verb(
    group,
    'history',
    'List every set of policies that was in force, newest first.',
    'sallyport policy history',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/policy-history.ts')).history(contextOf(command)))
  })
  verb(
    group,
    'show <version>',
    'Print the files of a set of policies that was in force.',
    'sallyport policy show 13',
  ).action(async (version: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/policy-show.ts')).show(contextOf(command), version))
  })
  verb(
    group,
    'revert <version>',
    'Put an older set of policies in force again, as a new version: the policies folder holds its files then.',
    'sallyport policy revert 13 --yes',
  )
    .option('--yes', 'replace the files of the policies folder')
    .action(async (number: string, flags: { yes?: boolean }, command: Command) => {
      const { revert } = await import('./verbs/policy-revert.ts')
      finish(await revert(contextOf(command), number, flags))
    })
}

/** Verbs that need no gateway. */
function addFileVerbs(group: Command, verb: MakeVerb, finish: (code: number) => void): void {
  verb(
    group,
    'lint <path...>',
    'Say what is wrong with policies, and what looks wrong. Also: -o sarif. Exit code 8 where something was found.',
    'sallyport policy lint policies/ --fail-on warning',
  )
    .option('--fail-on <severity>', 'error, warning, or never', 'error')
    .option(
      '--matrix',
      'show instead what becomes of dangerous commands on each connection: allowed, held or blocked',
    )
    .option('--history <time>', 'find rules that did nothing in what is recorded since: 30d')
    .option('--no-gateway', 'look at the files alone, also where a gateway runs')
    .action(async (paths: string[], flags: LintFlags, command: Command) => {
      const { output } = command.optsWithGlobals<{ output?: string }>()
      const context = contextOf(command, 'sarif')
      const { lint } = await import('./verbs/policy-lint.ts')
      finish(await lint(context, paths, output === undefined ? flags : { ...flags, output }))
    })
  verb(
    group,
    'test <path...>',
    'Run the tests in the files (kind: PolicyTest) against the policies in them. Exit code 8 where one fails.',
    'sallyport policy test policies/ --coverage',
  )
    .option('--coverage', 'list the rules and clauses that no test has shown both true and false')
    .action(async (paths: string[], flags: TestFlags, command: Command) => {
      const { testPolicies } = await import('./verbs/policy-test.ts')
      finish(await testPolicies(contextOf(command), paths, flags))
    })
}
