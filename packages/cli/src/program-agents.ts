import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { LoginFlags } from './verbs/login.ts'
import type { ChildFlags, RunFlags } from './verbs/run.ts'
import type { JoinFlags, TicketFlags } from './verbs/spawn.ts'

type Finish = (code: number) => void

const collect = (value: string, before: string[]): string[] => [...before, value]

/** The verbs of agents: births, looking at them, and taking them away. */
export function addAgentVerbs(program: Command, verb: MakeVerb, finish: Finish): void {
  addLogins(program, verb, finish)
  addBirths(program, verb, finish)
  addLooks(program, verb, finish)
  addStops(program, verb, finish)
  program
    .command('broker', { hidden: true })
    .description('Hold the handles of this user; started by login.')
    .requiredOption('--folder <dir>', 'folder of the sockets')
    .addHelpText('after', '\nExample:\n  sallyport broker --folder /run/user/1000/sallyport')
    .action(async ({ folder }: { folder: string }) => {
      await (await import('./broker/broker-main.ts')).brokerMain(folder)
      finish(0)
    })
}

function addLogins(program: Command, verb: MakeVerb, finish: Finish): void {
  verb(
    program,
    'login [gateway]',
    'Log in: to the gateway of the data folder as its owner, or to the one at an address with a browser.',
    'sallyport login',
  )
    .option('--ttl <duration>', 'how long it lasts', '8h')
    .option('--oidc', 'through the identity provider of the gateway of the data folder')
    .option(
      '--device',
      'by a code that is typed into a browser anywhere; so over SSH and without a display',
    )
    .option('--no-browser', "print the address and don't open it")
    .action(async (gateway: string | undefined, flags: LoginFlags, command: Command) => {
      finish(await (await import('./verbs/login.ts')).login(contextOf(command), gateway, flags))
    })
  verb(
    program,
    'logout',
    'End the logins of this user here, with every agent below them.',
    'sallyport logout',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/login.ts')).logout(contextOf(command)))
  })
}

function addBirths(program: Command, verb: MakeVerb, finish: Finish): void {
  const child = (command: Command): Command =>
    command
      .option('--for <text>', 'what it is for; stands in every record')
      .option(
        '--allow <permit>',
        'what it may do, such as "orders-db:read schema=public"; repeatable (default: all that its parent may)',
        collect,
        [],
      )
      .option('--ttl <duration>', 'how long it lives (default: as long as its parent)')
      .option('--budget <kind=n>', 'a cap, such as commands=200; repeatable', collect, [])
      .option('--reserve', 'take the budget from those above now; what is left comes back', false)
  const runnable = (command: Command): Command =>
    command
      .option('--keep-env <name>', 'a variable that would be stripped; repeatable', collect, [])
      .option(
        '--set <name=connection>',
        "a variable with the address of a connection's socket, such as DATABASE_URL=orders-db; repeatable",
        collect,
        [],
      )
      .option('--bearer', 'put a credential into the environment, for programs that take no socket')
      .option('--status-fd <n>', 'write one JSON line about the end to this descriptor')
  runnable(
    child(
      verb(
        program,
        'run <command...>',
        'Run a program as a new agent below the one that calls; put -- before it.',
        "sallyport run --name scout --allow 'orders-db:read' --ttl 20m -- psql -c '\\dt'",
      ).requiredOption('--name <name>', 'what it is called in every chain'),
    ).option('--strict', 'refuse where more is asked for than the parent holds'),
  ).action(async (words: string[], flags: RunFlags, command: Command) => {
    finish(await (await import('./verbs/run.ts')).run(contextOf(command), words, flags))
  })
  child(
    verb(
      program,
      'spawn',
      'Make a child and print where its sockets are; its program is yours to start.',
      "sallyport spawn --name sql-runner --allow 'orders-db:read' --ttl 10m --json",
    ).requiredOption('--name <name>', 'what it is called in every chain'),
  ).action(async (flags: ChildFlags, command: Command) => {
    finish(await (await import('./verbs/spawn.ts')).spawn(contextOf(command), flags))
  })
  child(
    verb(
      program,
      'ticket',
      'Make a ticket for a child on another host: one use, ten minutes.',
      "sallyport ticket --name scout --allow 'orders-db:read'",
    ).requiredOption('--name <name>', 'what it is called in every chain'),
  )
    .option('--expect <claim=value>', 'what its redeemer must show; repeatable', collect, [])
    .action(async (flags: TicketFlags, command: Command) => {
      finish(await (await import('./verbs/spawn.ts')).ticket(contextOf(command), flags))
    })
  runnable(
    verb(
      program,
      'join <command...>',
      'Run a program as the agent that a ticket on standard input, or a token of the platform, is for.',
      'sallyport join -- ./scout <<<"$TICKET"',
    )
      .option('--gateway <url>', 'where the gateway is (default: the data folder says it)')
      .option(
        '--id-token-env <variable>',
        'take the token of this job from a variable, not a ticket',
      )
      .option('--service <name>', 'as a service that the gateway knows by its key')
      .option('--key <file>', 'the key of the service, PEM')
      .option('--name <name>', 'what it is called', ''),
  ).action(async (words: string[], flags: JoinFlags, command: Command) => {
    const given = { ...flags, allow: [], budget: [] }
    finish(await (await import('./verbs/spawn.ts')).join(contextOf(command), words, given))
  })
  verb(
    program,
    'service-key <file>',
    'Print the public half of the key of a service, as the gateway takes it.',
    'sallyport service-key key.pem > nightly.jwks.json',
  ).action(async (file: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/spawn.ts')).serviceKey(contextOf(command), file))
  })
  verb(
    program,
    'env [connection]',
    'Print exports for the shell: where the socket of a connection is.',
    'eval "$(sallyport env orders-db)"',
  )
    .option('--bearer', 'a credential instead, for programs that take no socket')
    .action(async (name: string | undefined, flags: { bearer?: boolean }, command: Command) => {
      finish(await (await import('./verbs/spawn.ts')).env(contextOf(command), name, flags))
    })
}

function addLooks(program: Command, verb: MakeVerb, finish: Finish): void {
  const look = (name: 'status' | 'children' | 'budget', about: string, example: string): Command =>
    verb(program, `${name} [agent]`, about, example).action(
      async (agent: string | undefined, _flags: unknown, command: Command) => {
        const verbs = await import('./verbs/agents.ts')
        finish(await verbs[name](contextOf(command), agent))
      },
    )
  look(
    'status',
    'Who this process is, and what it may do; of an agent, if one is named.',
    'sallyport status',
  )
  look('children', 'List the agents directly below.', 'sallyport children a_3fd')
  look(
    'budget',
    'Print the budgets that bind an agent, and what is used up.',
    'sallyport budget a_3fd',
  )
  verb(program, 'tree [agent]', 'Print agents and all below them.', 'sallyport tree --live')
    .option('--live', 'paint it again every second')
    .action(async (agent: string | undefined, flags: { live?: boolean }, command: Command) => {
      finish(await (await import('./verbs/agents.ts')).tree(contextOf(command), agent, flags))
    })
}

function addStops(program: Command, verb: MakeVerb, finish: Finish): void {
  const stop = (
    name: string,
    action: 'revoke' | 'freeze' | 'unfreeze' | 'end',
    about: string,
  ): Command =>
    verb(program, `${name} <agent>`, about, `sallyport ${name} a_3fd --reason "wrong branch"`)
      .option('--reason <text>', 'stands in the record and in what its programs are told')
      .action(async (agent: string, flags: { reason?: string }, command: Command) => {
        const { stopAgent } = await import('./verbs/stop-agents.ts')
        finish(await stopAgent(contextOf(command), action, agent, flags.reason))
      })
  stop('kill', 'revoke', 'Revoke an agent and all below it, and close their sessions now.')
  stop('freeze', 'freeze', 'Hold an agent and all below it; sessions stay open.')
  stop('unfreeze', 'unfreeze', 'Let a frozen agent go on.')
  stop('end', 'end', 'End an agent that has done its work, with all below it.')
}
