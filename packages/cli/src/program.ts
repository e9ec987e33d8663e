import { Command } from 'commander'
import { contextOf, type VerbContext } from './context.ts'
import { addApprovalVerbs } from './program-approvals.ts'
import { addChannelVerbs } from './program-channels.ts'
import { addAgentChanges } from './program-agent-changes.ts'
import { addAgentVerbs } from './program-agents.ts'
import { addBreakGlassVerbs } from './program-break-glass.ts'
import { addRecordingVerbs } from './program-recordings.ts'
import { addPolicyVerbs } from './program-policy.ts'
import type { AddFlags, SetFlags } from './verbs/connections.ts'
import type { CredentialFlags } from './verbs/credentials.ts'
import type { GuardFlags } from './verbs/guard.ts'
import type { UpFlags } from './verbs/up.ts'

/** The version of this package. */
export const cliVersion = '0.1.0'

const portPostgresDefault = '15432'
const portApiDefault = '8700'

/** Builds the command line. A verb's code is imported when the verb runs; `finish` gets its exit code. */
export function buildProgram(finish: (code: number) => void): Command {
  const program = new Command('sallyport')
    .description('Identity-aware gateway between agents and databases.')
    .exitOverride()
    .showSuggestionAfterError()
  const verb = (parent: Command, usage: string, about: string, example: string): Command =>
    shared(parent.command(usage).description(about), example)

  verb(
    program,
    'up',
    'Start the gateway here and serve until Ctrl-C.',
    'sallyport up --no-demo --workers 2',
  )
    .option('--port-postgres <n>', 'port for PostgreSQL callers', portPostgresDefault)
    .option('--port-api <n>', 'port of the API', portApiDefault)
    .option('--port-metrics <n>', 'port of /metrics, /healthz and /readyz (default: none)')
    .option(
      '--host-metrics <address>',
      'where that port is reached (default: this machine alone); everybody there may read it',
    )
    .option('--workers <n>', 'data-plane processes (default: one per core, 8 at most)')
    .option(
      '--approvals-per-minute <n>',
      'how often one person may approve within a minute (default: 10)',
    )
    .option(
      '--durability <mode>',
      'what a recorded command must survive: auto, disk, process',
      'auto',
    )
    .option(
      '--recordings <place>',
      'where recordings are kept: a folder, or s3://bucket/prefix?endpoint=…&region=… (default: in the data folder)',
    )
    .option(
      '--anchors <place>',
      'copy anchors to a folder, s3://bucket/prefix or an https address; repeatable',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option(
      '--channels <folder>',
      'files that say where requests for approval are told (default: channels in the data folder)',
    )
    .option('--journal-max <size>', 'how large all journals may become', '8GiB')
    .option('--journal-min-free <size>', 'disk space that journals leave free', '500MiB')
    .option('--no-demo', 'leave out the demo database')
    .option(
      '--public-url <url>',
      'where browsers and CI jobs reach the API, if not on this machine',
    )
    .option('--no-story', 'leave out the agents that show themselves on it at the start')
    .option(
      '--database-url <url>',
      'PostgreSQL for the gateway itself (also SALLYPORT_DATABASE_URL, which ps does not show)',
    )
    .action(async (flags: UpFlags, command: Command) => {
      finish(await (await import('./verbs/up.ts')).up(contextOf(command), flags))
    })
  addConnectionVerbs(program, verb, finish)
  addCredentialVerbs(program, verb, finish)
  addRecordingVerbs(program, verb, finish)
  addPolicyVerbs(program, verb, finish)
  addApprovalVerbs(program, verb, finish)
  addChannelVerbs(program, verb, finish)
  addBreakGlassVerbs(program, verb, finish)
  addAgentVerbs(program, verb, finish)
  addAgentChanges(program, verb, finish)
  verb(program, 'doctor', 'Check this machine and the gateway on it.', 'sallyport doctor')
    .option('--port-postgres <n>', 'port to look at', portPostgresDefault)
    .option('--port-api <n>', 'port to look at', portApiDefault)
    .action(async (flags: { portPostgres: string; portApi: string }, command: Command) => {
      const ports = { api: Number(flags.portApi), postgres: Number(flags.portPostgres) }
      finish(await (await import('./verbs/doctor.ts')).doctor(contextOf(command), ports))
    })
  verb(
    program,
    'api',
    'List the operations of the API; with --json, print its OpenAPI document.',
    'sallyport api --json > openapi.json',
  ).action(run(finish, async (context) => (await import('./verbs/api.ts')).api(context)))
  verb(program, 'version', 'Print the version.', 'sallyport version').action(
    run(finish, async (context) => {
      const { printOne } = await import('./output.ts')
      const facts = { version: cliVersion, node: process.versions.node }
      await printOne(
        context.output,
        facts,
        `sallyport ${cliVersion} · Node ${facts.node}\n`,
        cliVersion,
      )
      return 0
    }),
  )
  return program
}

/** Makes a verb with the flags that all of them have. */
export type MakeVerb = (parent: Command, usage: string, about: string, example: string) => Command

function addConnectionVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const group = verb(
    program,
    'connections',
    'List connections; add, set, rm, guard and test change and try them.',
    'sallyport connections',
  )
    .alias('connect')
    .action(
      run(finish, async (context) =>
        (await import('./verbs/connections.ts')).listConnections(context),
      ),
    )
  const collect = (value: string, before: string[]): string[] => [...before, value]
  const settable = (command: Command): Command =>
    command
      .option(
        '--notices <when>',
        'tell callers of session and masks: auto (psql and agents below another), always, never',
      )
      .option(
        '--responses <how>',
        'what is recorded of answers: masked (as the caller got them), shape (rows and bytes alone)',
      )
      .option(
        '--masking <who>',
        'who masks columns: lineage (the gateway), guard (the target, see connections guard)',
      )
      .option(
        '--hold-max <duration>',
        'how long a command may wait for an approval, whatever the rules say: 24h at most',
      )
      .option(
        '--hold-in-transaction-max <duration>',
        'the same in an open transaction, which keeps its locks: 1m, 1h at most',
      )
      .option(
        '--trust-function <schema.name>',
        'a function that you vouch for: it reads and writes nothing that matters; repeatable',
        collect,
        [],
      )
  const add = verb(
    group,
    'add <url>',
    'Put a database behind the gateway. Without a password in the address it is read from the pipe or asked for.',
    'sallyport connections add postgres://app@db.internal:5432/orders --name orders-db --env prod',
  )
    .requiredOption('--name <name>', 'name that callers use')
    .option('--env <env>', 'label "env", which policies can ask for')
    .option('--label <key=value>', 'further labels', collect, [])
    .option(
      '--tls <mode>',
      'full (chain and host name), ca (chain), require (encryption alone), off',
      'full',
    )
    .option('--ca <file>', "PEM file with the target's certificate authority")
  settable(add).action(async (url: string, flags: AddFlags, command: Command) => {
    finish(
      await (await import('./verbs/connections.ts')).addConnection(contextOf(command), url, flags),
    )
  })
  const set = verb(
    group,
    'set <name>',
    'Change settings of a connection; what is not named stays. New sessions use them.',
    'sallyport connections set orders-db --responses shape --trust-function app.score',
  ).option('--distrust-function <schema.name>', 'takes it back; repeatable', collect, [])
  settable(set).action(async (name: string, flags: SetFlags, command: Command) => {
    finish(
      await (await import('./verbs/connections.ts')).setConnection(contextOf(command), name, flags),
    )
  })
  verb(
    group,
    'rm <name>',
    'Remove a connection and end its credentials.',
    'sallyport connections rm orders-db',
  ).action(async (name: string, _flags: unknown, command: Command) => {
    finish(
      await (await import('./verbs/connections.ts')).removeConnection(contextOf(command), name),
    )
  })
  verb(
    group,
    'guard <name>',
    'Let the target itself enforce the masks: a role for each mask set, which cannot read what is masked.',
    'sallyport connections guard orders-db --apply --setup-user postgres',
  )
    .option('--plan', 'print the SQL that would be run')
    .option(
      '--apply',
      'run it, in one transaction; run again after policies or tables have changed',
    )
    .option('--adopt', 'take over what somebody has run by hand from --plan')
    .option('--check', 'look whether the target still enforces the masks; exit code 8 where not')
    .option('--drop', 'take roles, views and secrets away again')
    .option('--setup-user <user>', 'login of the target for --apply and --drop; it is not stored')
    .option('--writes <which>', 'none (default), clean: all but masked columns can be written')
    .option(
      '--lookup <column>',
      '[schema.]table.column whose true value callers may look rows up by; repeatable',
      collect,
      [],
    )
    .option('--lookup-budget <n/time>', 'how many look-ups all callers of a role have', '100/1h')
    .option(
      '--close-public',
      'take rights from PUBLIC that lead past the masks; present roles keep them',
    )
    .action(async (name: string, flags: GuardFlags, command: Command) => {
      finish(await (await import('./verbs/guard.ts')).guard(contextOf(command), name, flags))
    })
  verb(
    group,
    'test <name>',
    'Try the target: reach, TLS, login.',
    'sallyport connections test orders-db',
  ).action(async (name: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/connections.ts')).testConnection(contextOf(command), name))
  })
}

function addCredentialVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const collect = (value: string, before: string[]): string[] => [...before, value]
  const narrowing = (command: Command): Command =>
    command
      .option(
        '--allow <permit>',
        'what it may do, such as "orders-db:read schema=public"; repeatable (default: everything on the connection)',
        collect,
        [],
      )
      .option('--ttl <duration>', 'how long it lasts', '8h')
  narrowing(
    verb(
      program,
      'credential',
      'Make a credential for a connection and show it, once.',
      "sallyport credential --connection shop-db --allow 'shop-db:ro' --ttl 1h",
    ).option('--connection <name>', 'connection; may be left out where there is only one'),
  ).action(async (flags: CredentialFlags, command: Command) => {
    finish(await (await import('./verbs/credentials.ts')).credential(contextOf(command), flags))
  })
  narrowing(
    verb(
      program,
      'url <name>',
      'Print an address with a fresh credential, ready for psql.',
      'psql "$(sallyport url shop-db)"',
    ),
  ).action(async (name: string, flags: CredentialFlags, command: Command) => {
    finish(await (await import('./verbs/credentials.ts')).url(contextOf(command), name, flags))
  })
}

/** Flags and the example that every verb has. */
function shared(command: Command, example: string): Command {
  return command
    .option('--data <dir>', 'data folder (default: SALLYPORT_DATA, else ~/.sallyport)')
    .option('-o, --output <form>', 'table, json, yaml, ndjson or name')
    .option('--json', 'the same as -o json')
    .addHelpText('after', `\nExample:\n  ${example}`)
    .exitOverride()
}

function run(
  finish: (code: number) => void,
  work: (context: VerbContext) => Promise<number>,
): (flags: unknown, command: Command) => Promise<void> {
  return async (_flags, command) => {
    finish(await work(contextOf(command)))
  }
}
