import { addressOf as callAddress } from '../api-address.ts'
import { writeSync } from 'node:fs'
import { type ErrorCode, SallyportError } from '@sallyport/core'
import type { Answered } from '@sallyport/gateway'
import { agentEnvironment, connectionOf } from '../agent-environment.ts'
import { addressOf } from '../broker/gateway-address.ts'
import { BrokerClient } from '../broker/broker-client.ts'
import type { Adoption, ChildAsk, HomeReply, WhoReply } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { exitCodeOf } from '../exit-codes.ts'
import { printable } from '../output.ts'
import { requireBroker } from '../owner-api.ts'
import { superviseCommand } from './supervise-command.ts'

export interface ChildFlags {
  readonly name: string
  readonly for?: string
  readonly allow: readonly string[]
  readonly ttl?: string
  readonly budget: readonly string[]
  readonly reserve?: boolean
}

export interface RunFlags extends ChildFlags {
  readonly strict?: boolean
  readonly keepEnv: readonly string[]
  readonly set: readonly string[]
  readonly bearer?: boolean
  readonly statusFd?: string
}

/** A pool may open this many sessions with one credential that is visible to it. */
const bearerUses = 20
const bearerTtl = '15m'

/** Starts a program as a new agent, and stays as its anchor until it ends. */
export async function run(
  context: VerbContext,
  command: readonly string[],
  flags: RunFlags,
  adopt?: Adoption,
): Promise<number> {
  const tell = statusLine(flags.statusFd)
  try {
    const client = adopt === undefined ? await requireBroker() : await BrokerClient.start()
    const ask = { ...childAsk(flags), cut: flags.strict !== true && process.stdin.isTTY === true }
    const home = await client.ask<HomeReply>({
      op: 'run',
      ask,
      ...(adopt === undefined ? {} : { adopt }),
    })
    const env = await environmentOf(context, client, home, flags)
    announce(context, home, env.stripped)
    let ended: string | undefined
    client.onState = (code, message) => {
      ended = code
      context.output.say(`sallyport: ${stateWords(code)}: ${printable(message)}\n`)
    }
    client.onLost = () => {
      ended = 'SP_NO_PARENT'
      context.output.say(
        `sallyport: the broker is gone, and with it the handle of ${home.agent.name}. Its sessions are closed; new ones need a new login: sallyport login, then start this program again.\n`,
      )
    }
    const done = await superviseCommand(command, env.env, client)
    if (done.left > 0) {
      context.output.say(
        `sallyport: ${done.left} processes of ${home.agent.name} go on without it; they open no more sessions.\n`,
      )
    }
    tell({ kind: 'command', code: done.code, signal: done.signal, agent: home.agent.id, ended })
    return done.code
  } catch (error) {
    tell({ kind: 'refused', code: exitCodeOf(error), error: codeOf(error) })
    throw error
  }
}

/** What the caller asks for, as the API takes it. */
export function childAsk(flags: ChildFlags): ChildAsk {
  // Which kinds there are is the gateway's to say.
  const budget = parseBudget(flags.budget) as ChildAsk['budget'] & object
  return {
    name: flags.name,
    ...(flags.allow.length === 0 ? {} : { allow: flags.allow }),
    ...(flags.ttl === undefined ? {} : { ttl: flags.ttl }),
    ...(Object.keys(budget).length === 0 ? {} : { budget }),
    ...(flags.reserve === true ? { reserve: true } : {}),
    ...(flags.for === undefined ? {} : { purpose: flags.for }),
  }
}

function parseBudget(texts: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, kind, amount] = /^([a-z]+)=(\d{1,15})$/.exec(text) ?? []
      if (kind === undefined) {
        throw new SallyportError(
          'SP_CONFIG_INVALID',
          `--budget takes kind=number, such as commands=200; not "${text}"`,
        )
      }
      return [kind, Number(amount)]
    }),
  )
}

async function environmentOf(
  context: VerbContext,
  client: BrokerClient,
  home: HomeReply,
  flags: RunFlags,
): Promise<{ env: Readonly<Record<string, string>>; stripped: readonly string[] }> {
  const made = agentEnvironment(process.env, home, { keep: flags.keepEnv, set: flags.set })
  if (flags.bearer !== true) return made
  const first = home.connections[0]
  if (first === undefined) return made
  const bearer = await bearerVariables(client, home, first.name)
  context.output.say(
    `sallyport: --bearer puts a password into the environment, where every program of this user can read it. Its sessions are L1.\n`,
  )
  return { ...made, env: { ...made.env, ...bearer } }
}

/** A credential for programs that take no socket. */
export async function bearerVariables(
  client: BrokerClient,
  home: HomeReply,
  connection: string,
): Promise<Record<string, string>> {
  const call = 'POST /v1/agents/{id}/credentials'
  const minted = await client.ask<Answered<typeof call>>({
    op: 'api',
    ...callAddress(call, {
      params: { id: home.agent.id },
      body: { connection, maxUses: bearerUses, ttl: bearerTtl, level: 1 },
    }),
  })
  const { gateway } = await client.ask<WhoReply>({ op: 'who' })
  if (gateway === undefined) throw new SallyportError('SP_INTERNAL', 'the broker knows no gateway')
  const { host, port } = await addressOf(gateway)
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: minted.user,
    PGPASSWORD: minted.secret,
    PGSSLMODE: 'require',
    PGDATABASE: connectionOf(home, connection).database,
  }
}

/** `planner a_7q2… (dana › planner) L3 until 15:02 · orders-db · may spawn 8, 2 deep`. */
export function agentLine(home: HomeReply): string {
  const { agent, level, connections } = home
  const until = new Date(agent.expiresAt).toTimeString().slice(0, 5)
  const limits = agent.limits
  const spawn =
    limits?.children === undefined
      ? ''
      : ` · may spawn ${limits.children}${limits.depth === undefined ? '' : `, ${limits.depth} deep`}`
  const names = connections.map((each) => each.name).join(' ') || 'no connections'
  return printable(
    `${agent.name} ${agent.id.slice(0, shortId)}… (${agent.chain.join(' › ')}) L${level} until ${until} · ${names}${spawn}`,
  )
}

/** Prefix and five characters: unique on any one machine for all that matters to a reader. */
const shortId = 7

function announce(context: VerbContext, home: HomeReply, stripped: readonly string[]): void {
  const { say } = context.output
  for (const cut of home.cut ?? []) say(`! cut: ${printable(cut)}   (--strict refuses instead)\n`)
  say(`sallyport: ${agentLine(home)}\n`)
  if (stripped.length > 0) {
    say(`sallyport: not passed on: ${stripped.map(printable).join(' ')}   (--keep-env keeps one)\n`)
  }
  if (home.level < 3) {
    say(
      'sallyport: this system does not say which process is at a socket, so sessions are L2. See: sallyport doctor\n',
    )
  } else if (home.agent.depth <= 1 && process.stderr.isTTY) {
    say(
      'sallyport: L3 tells programs apart and does not wall them off: those of one user can read each other.\n',
    )
  }
}

function stateWords(code: ErrorCode): string {
  if (code === 'SP_AGENT_FROZEN') return 'this agent is frozen'
  return code === 'SP_AGENT_REVOKED' ? 'this agent was revoked' : 'this agent has ended'
}

/** Exit codes of programs and of Sallyport overlap; this line says which it was. */
function statusLine(fd: string | undefined): (value: object) => void {
  if (fd === undefined) return () => undefined
  if (!/^\d{1,4}$/.test(fd)) {
    throw new SallyportError('SP_CONFIG_INVALID', `--status-fd takes a number; not "${fd}"`)
  }
  return (value) => void writeSync(Number(fd), `${JSON.stringify(value)}\n`)
}

function codeOf(error: unknown): string {
  return error instanceof SallyportError ? error.code : 'SP_INTERNAL'
}
