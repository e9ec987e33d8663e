import { hash } from 'node:crypto'
import type { AgentRecord } from '../../../boundary/agents.ts'
import type { ExportFact, FactCommand, FactSession } from '../facts/export-fact.ts'
import { names } from './attribute-names.ts'
import { attributes, nanoseconds, type Span } from './span.ts'

const internal = 1
const client = 3
const ok = { code: 0 } as const

/** A session or a command as a span; undefined of what is none, or has not ended. */
export function spanOf(fact: ExportFact, withText: boolean): Span | undefined {
  switch (fact.kind) {
    case 'command':
      return commandSpan(fact, withText)
    case 'session.closed':
      return sessionSpan(fact)
    case 'session.opened':
    case 'fact':
      return undefined
  }
}

/** An agent that has ended, as the span in which all that it did stands; undefined while it lives. */
export function agentSpan({
  id,
  path,
  name,
  state,
  createdAtMs,
  ended,
}: AgentRecord): Span | undefined {
  if (ended === undefined || state === 'active' || state === 'frozen') return undefined
  const parent = path.at(-2)
  return {
    traceId: traceOf(path[0] ?? id),
    spanId: spanIdOf('agent', id),
    ...(parent === undefined ? {} : { parentSpanId: spanIdOf('agent', parent) }),
    name: `invoke_agent ${name}`,
    kind: internal,
    startTimeUnixNano: nanoseconds(createdAtMs),
    endTimeUnixNano: nanoseconds(Math.max(createdAtMs, ended.atMs)),
    attributes: attributes({
      [names.agentOperation]: 'invoke_agent',
      [names.agentId]: id,
      [names.agentName]: name,
      [names.end]: state,
    }),
    status: state === 'revoked' ? { code: 2, message: state } : ok,
  }
}

function sessionSpan(fact: Extract<ExportFact, { kind: 'session.closed' }>): Span {
  const { session, atMs, reason, commands, blocked, maskedValues } = fact
  const agent = session.chain.at(-1)
  return {
    traceId: traceOf(rootOf(session)),
    spanId: spanIdOf('session', session.id),
    ...(agent === undefined ? {} : { parentSpanId: spanIdOf('agent', agent.id) }),
    name: `session ${session.connection}`,
    kind: internal,
    startTimeUnixNano: nanoseconds(session.openedAtMs),
    endTimeUnixNano: nanoseconds(Math.max(session.openedAtMs, atMs)),
    attributes: attributes({
      ...aboutSession(session),
      [names.commands]: commands,
      [names.blocked]: blocked,
      [names.masked]: maskedValues,
      [names.end]: reason,
    }),
    status: ok,
  }
}

function commandSpan(fact: Extract<ExportFact, { kind: 'command' }>, withText: boolean): Span {
  const { session, command, atMs, uid } = fact
  const [first] = command.objects
  const collection = command.objects.length === 1 ? first?.join('.') : undefined
  const failure = failureOf(command)
  return {
    traceId: traceOf(rootOf(session)),
    // A text of several statements ends several times: each is a span.
    spanId: spanIdOf('command', uid),
    parentSpanId: spanIdOf('session', session.id),
    name: [command.verb === '' ? command.class : command.verb, collection ?? session.database].join(
      ' ',
    ),
    kind: client,
    startTimeUnixNano: nanoseconds(command.startedAtMs),
    endTimeUnixNano: nanoseconds(Math.max(command.startedAtMs, atMs)),
    attributes: attributes({
      ...aboutSession(session),
      [names.operation]: command.verb,
      [names.collection]: collection,
      [names.text]: withText ? command.text : undefined,
      [names.rows]: command.rows,
      [names.bytes]: command.bytes,
      [names.statusCode]: command.status === 'error' ? command.code : undefined,
      [names.error]: failure,
      [names.command]: command.id,
      [names.class]: command.class,
      [names.verdict]: { allow: 'allowed', approve: 'held', block: 'blocked' }[command.effect],
      [names.rules]: command.rules,
      [names.masked]: command.masked.reduce((sum, { values }) => sum + values, 0),
    }),
    status: failure === undefined ? ok : { code: 2, message: failure },
  }
}

function aboutSession({ id, connection, database, level, chain }: FactSession) {
  const agent = chain.at(-1)
  return {
    [names.system]: 'postgresql',
    [names.database]: database,
    [names.connection]: connection,
    [names.session]: id,
    [names.level]: level,
    [names.agentId]: agent?.id,
    [names.agentName]: agent?.name,
  }
}

/** What went wrong, in a code; the words of a target may hold data. */
function failureOf({ status, code }: FactCommand): string | undefined {
  if (status === 'complete' || status === 'suspended' || status === 'skipped') return undefined
  return code ?? status
}

function rootOf({ chain, id }: FactSession): string {
  return chain[0]?.id ?? id
}

/** All of a tree is one trace: 16 bytes of the root's id, the same on every node and after every restart. */
function traceOf(root: string): string {
  return hash('sha256', `sallyport trace ${root}`).slice(0, 32)
}

/** 8 bytes. */
function spanIdOf(kind: 'agent' | 'session' | 'command', id: string): string {
  return hash('sha256', `sallyport ${kind} ${id}`).slice(0, 16)
}
