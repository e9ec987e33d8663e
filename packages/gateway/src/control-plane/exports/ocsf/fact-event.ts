import type { ExportFact, ToldFact } from '../facts/export-fact.ts'
import {
  authentication,
  baseEvent,
  entityManagement,
  iam,
  linked,
  severity,
  type OcsfEvent,
} from './base-event.ts'

type Activity = readonly [id: number, name: string]

/** What a fact is as a change of something: of what, and which. What is not here is something else that was done. */
const changes: Readonly<Record<string, readonly [entity: string, activity: Activity]>> = {
  'agent.born': ['Agent', [1, 'Create']],
  'agent.narrowed': ['Agent', [3, 'Update']],
  'agent.renewed': ['Agent', [3, 'Update']],
  'agent.frozen': ['Agent', [12, 'Suspend']],
  'agent.unfrozen': ['Agent', [13, 'Resume']],
  'agent.ended': ['Agent', [11, 'Deactivate']],
  'agent.expired': ['Agent', [11, 'Deactivate']],
  'agent.revoked': ['Agent', [9, 'Disable']],
  'credential.issued': ['Credential', [1, 'Create']],
  'connection.added': ['Connection', [1, 'Create']],
  'connection.changed': ['Connection', [3, 'Update']],
  'connection.removed': ['Connection', [4, 'Delete']],
  'policies.loaded': ['Policy', [3, 'Update']],
  'policies.refused': ['Policy', [3, 'Update']],
  'identity.read': ['Identity files', [3, 'Update']],
  'exports.read': ['Export files', [3, 'Update']],
  'export.tested': ['Export', [99, 'Test']],
  'channels.read': ['Channel files', [3, 'Update']],
  'channel.tested': ['Channel', [99, 'Test']],
  'session.viewed': ['Recording', [2, 'Read']],
  'session.watched': ['Recording', [2, 'Read']],
  'session.exported': ['Recording', [2, 'Read']],
  'ledger.read': ['Ledger', [2, 'Read']],
  'incident.opened': ['Incident', [1, 'Create']],
  'incident.reported': ['Incident', [2, 'Read']],
  'incident.closed': ['Incident', [3, 'Update']],
  'hold.added': ['Hold', [1, 'Create']],
  'hold.removed': ['Hold', [4, 'Delete']],
  'retention.erased': ['Recording', [4, 'Delete']],
}

/** Somebody showed who they are, or could not. */
const logins: Readonly<Record<string, 'accepted' | 'refused'>> = {
  login: 'accepted',
  'token.accepted': 'accepted',
  exchange: 'accepted',
  'owner.seen': 'accepted',
  'login.refused': 'refused',
  'token.refused': 'refused',
  'token.replayed': 'refused',
  'caller.refused': 'refused',
}

const severities: Readonly<Record<string, number>> = {
  'agent.revoked': severity.medium,
  'agent.frozen': severity.medium,
  'agent.finding': severity.medium,
  'policies.refused': severity.medium,
  'channel.failed': severity.medium,
  'worker.lost': severity.high,
  'ledger.lost': severity.high,
}

/** An event of what happened in the control plane. */
export function factEvent(fact: Extract<ExportFact, { kind: 'fact' }>, version: string): OcsfEvent {
  const { told } = fact
  const login = logins[told.what]
  const event = login === undefined ? changeOf(told) : loginOf(told, login)
  const agent = told.chain.at(-1)
  const kind = { category: iam, class: event.class, activity: event.activity }
  return {
    ...baseEvent(fact, version, kind, {
      profiles: [],
      actor: { user: userOf(told), app_name: told.by },
      agent,
      source: told.source,
      tree: told.chain[0]?.id ?? fact.session.id,
    }),
    severity_id: severities[told.what] ?? (isRefused(told) ? severity.medium : 1),
    status_id: isRefused(told) ? 2 : 1,
    message: `${told.what}${told.subject === '' ? '' : ` ${told.subject}`}${told.actor === '' ? '' : ` by ${told.actor}`}`,
    ...event.fields,
    unmapped: { sallyport: { fact: told.what, detail: told.detail, chain: linked(told.chain) } },
  }
}

function isRefused({ what }: ToldFact): boolean {
  return logins[what] === 'refused' || what.endsWith('.refused')
}

function loginOf(told: ToldFact, how: 'accepted' | 'refused') {
  return {
    class: authentication,
    activity: [1, 'Logon'] as const,
    fields: {
      user: userOf(told),
      service: { name: 'Sallyport' },
      status_detail: how === 'accepted' ? told.what : (textOf(told.detail['why']) ?? told.what),
    },
  }
}

function changeOf(told: ToldFact) {
  const [type, activity] = changes[told.what] ?? ['Gateway', [99, told.what] as const]
  const name = told.subject === '' ? told.what : told.subject
  const comment = textOf(told.detail['reason'])
  const isPolicy = type === 'Policy'
  return {
    class: entityManagement,
    activity,
    fields: {
      entity: {
        name,
        uid: name,
        type,
        type_id: isPolicy ? 5 : 99,
        data: told.detail,
        ...(isPolicy ? { policy: { name } } : {}),
      },
      ...(comment === undefined ? {} : { comment }),
    },
  }
}

function userOf({ actor, by }: ToldFact): OcsfEvent {
  return { name: actor === '' ? by : actor }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
