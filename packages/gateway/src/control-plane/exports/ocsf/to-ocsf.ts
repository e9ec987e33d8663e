import {
  application,
  authentication,
  authorizeSession,
  baseEvent,
  datastoreActivity,
  iam,
  linked,
  severity,
  type Kind,
  type OcsfEvent,
} from './base-event.ts'
import { factEvent } from './fact-event.ts'
import type { ExportFact, FactCommand, FactSession } from '../facts/export-fact.ts'

/** Tells a fact as an event. `version` is the gateway's. */
export function toOcsf(fact: ExportFact, version: string): OcsfEvent {
  switch (fact.kind) {
    case 'session.opened':
      return openedEvent(fact, version)
    case 'command':
      return commandEvent(fact, version)
    case 'session.closed':
      return closedEvent(fact, version)
    case 'fact':
      return factEvent(fact, version)
  }
}

/** An event that says that it is none, for trying a receiver. */
export function testEvent(name: string, version: string, atMs: number): OcsfEvent {
  const session = {
    id: 's_test',
    openedAtMs: atMs,
    connection: 'test',
    database: 'test',
    credential: 'cr_test',
    chain: [{ id: 'a_test', name: 'test' }],
    level: 0,
    application: 'sallyport',
    source: '',
  }
  const uid = `test/${name}/${atMs}`
  const event = toOcsf({ kind: 'session.opened', uid, position: 0, atMs, session }, version)
  return { ...event, message: 'A test of this export. Nothing has happened.' }
}

function openedEvent(fact: ExportFact, version: string): OcsfEvent {
  const { session } = fact
  const activity = [1, 'Assign Privileges'] as const
  return {
    ...baseOf(fact, version, { category: iam, class: authorizeSession, activity }, []),
    severity_id: severity.informational,
    status_id: 1,
    message: `${printChain(session)} opened a session on ${session.connection}`,
    user: userOf(session),
    session: sessionOf(session),
    privileges: [`connection:${session.connection}`],
    dst_endpoint: targetOf(session),
    unmapped: { sallyport: aboutSession(session) },
  }
}

function closedEvent(
  fact: Extract<ExportFact, { kind: 'session.closed' }>,
  version: string,
): OcsfEvent {
  const { session, reason, commands, blocked, maskedValues } = fact
  const activity = [2, 'Logoff'] as const
  const counts = { commands, blocked, masked_values: maskedValues }
  return {
    ...baseOf(fact, version, { category: iam, class: authentication, activity }, []),
    severity_id: severity.informational,
    status_id: 1,
    status_detail: reason,
    message: `the session of ${printChain(session)} on ${session.connection} ended: ${reason}`,
    user: userOf(session),
    session: { ...sessionOf(session), expiration_reason: reason },
    dst_endpoint: targetOf(session),
    unmapped: { sallyport: { ...aboutSession(session), ...counts } },
  }
}

function commandEvent(fact: Extract<ExportFact, { kind: 'command' }>, version: string): OcsfEvent {
  const { session, command } = fact
  const kind = { category: application, class: datastoreActivity, activity: activityOf(command) }
  const isRefused = command.status === 'refused'
  const [table] = command.objects
  const [rule] = command.rules
  return {
    ...baseOf(fact, version, kind, ['security_control']),
    severity_id: isRefused ? severity.medium : severity.informational,
    ...outcomeOf(command),
    ...controlOf(command),
    message: `${printChain(session)}: ${command.verb} on ${session.connection}, ${command.status}`,
    ...(rule === undefined ? {} : { policy: { name: rule } }),
    database: { name: session.database, uid: session.connection, type_id: relational },
    ...(table === undefined || command.objects.length > 1
      ? {}
      : { table: { name: table.join('.') } }),
    ...(command.text === undefined
      ? {}
      : { query_info: { uid: command.id, query_string: command.text } }),
    dst_endpoint: targetOf(session),
    unmapped: {
      sallyport: { ...aboutSession(session), command: aboutCommand(command, fact.atMs) },
    },
  }
}

const relational = 1

function baseOf(
  fact: ExportFact,
  version: string,
  kind: Kind,
  profiles: readonly string[],
): OcsfEvent {
  const { session } = fact
  const { chain, application: program, source } = session
  // The root stands for the principal itself: only what is below it acts for somebody else.
  const agent = chain.length > 1 ? chain.at(-1) : undefined
  return baseEvent(fact, version, kind, {
    profiles,
    actor: {
      user: userOf(session),
      session: sessionOf(session),
      ...(program === '' ? {} : { app_name: program }),
    },
    agent,
    source,
    tree: chain[0]?.id ?? session.id,
  })
}

/** The one at the root of the chain: the session is for them, whoever acts. */
function userOf({ chain }: FactSession): OcsfEvent {
  const [root] = chain
  return root === undefined ? { name: 'unknown' } : { name: root.name, uid: root.id }
}

function sessionOf({ id, openedAtMs, credential }: FactSession): OcsfEvent {
  return { uid: id, created_time: Math.round(openedAtMs), credential_uid: credential }
}

function targetOf({ connection }: FactSession): OcsfEvent {
  return { svc_name: connection, name: connection }
}

function aboutSession({ chain, level }: FactSession): OcsfEvent {
  return { level, chain: linked(chain) }
}

function aboutCommand(command: FactCommand, endedAtMs: number): OcsfEvent {
  const { id, seq, effect, rules, verb, objects, unit, rows, bytes, masked } = command
  return {
    uid: id,
    seq,
    verdict: { allow: 'allowed', approve: 'held', block: 'blocked' }[effect],
    rules,
    class: command.class,
    verb,
    objects,
    unit,
    policy_version: command.policyVersion,
    status: command.status,
    rows,
    bytes,
    masked,
    ms: Math.max(0, Math.round(endedAtMs - command.startedAtMs)),
  }
}

/** By what it does first of all: a statement that reads and deletes deletes. */
function activityOf({ class: of, verb }: FactCommand): readonly [number, string] {
  const byVerb = activities[verb.split(/[ _]/u)[0] ?? '']
  if (of === 'read') return [4, 'Query']
  if ((of === 'write' || of === 'ddl') && byVerb !== undefined) return byVerb
  return of === 'unknown' ? [0, 'Unknown'] : [99, verb === '' ? of : verb]
}

const activities: Readonly<Record<string, readonly [number, string]>> = {
  insert: [5, 'Write'],
  copy: [5, 'Write'],
  merge: [2, 'Update'],
  update: [2, 'Update'],
  delete: [7, 'Delete'],
  truncate: [7, 'Delete'],
  create: [6, 'Create'],
  alter: [2, 'Update'],
  drop: [7, 'Delete'],
}

function outcomeOf({ status, code }: FactCommand): OcsfEvent {
  const isDone = status === 'complete' || status === 'suspended'
  return {
    status_id: isDone ? 1 : status === 'unknown' ? 0 : 2,
    ...(code === undefined ? {} : { status_code: code }),
    status_detail: status,
  }
}

/** What the gateway did about it: let it pass, refuse it, or change its answer. */
function controlOf({ status, effect, masked }: FactCommand): OcsfEvent {
  if (status === 'refused' || effect !== 'allow')
    return {
      action_id: 2,
      action: 'Denied',
      disposition_id: 2,
      disposition: 'Blocked',
      is_alert: true,
    }
  if (masked.some(({ values }) => values > 0))
    return { action_id: 4, action: 'Modified', disposition_id: 11, disposition: 'Corrected' }
  return { action_id: 1, action: 'Allowed', disposition_id: 1, disposition: 'Allowed' }
}

function printChain({ chain }: FactSession): string {
  return chain.map(({ name }) => name).join(' › ')
}
