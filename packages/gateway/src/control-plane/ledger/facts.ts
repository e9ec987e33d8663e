/**
 * What happens to a fact that can't be written.
 *
 * - `refuse`: the act that it tells of does not come about (SP_RECORD_UNAVAILABLE). The fact is written before the act is
 *   committed or begun, so there is no act without its fact; where the commit itself fails afterwards, the ledger names an
 *   act that the caller was told has failed.
 * - `anyway`: the act takes something away, or has happened already, and must not depend on a disk. The fact waits in
 *   memory, is told as a fault, and is written when the ledger can be written again. What waits is lost with the process.
 * - `counted`: anybody may cause it, as often as they like. As `anyway`; the first of a source is written at once, and what
 *   comes within a minute of it is one more fact with a count.
 */
export type FactRule = 'refuse' | 'anyway' | 'counted'

export interface FactKind {
  readonly rule: FactRule
  /** Of a fact that is counted, how long one stands for all; 1 where absent. */
  readonly minutes?: number
  /** What it says, for people: the table of docs/recording.md, which a test compares. */
  readonly says: string
}

/** All that a ledger may tell of. */
export const FACTS = {
  'gateway.started': { rule: 'refuse', says: 'the gateway began: version, storage, durability' },
  'gateway.stopped': { rule: 'anyway', says: 'it ended in order' },
  'worker.lost': { rule: 'anyway', says: 'a data-plane worker ended unasked' },
  'owner.seen': {
    rule: 'counted',
    minutes: 60,
    says: "a source uses the owner's token: at most one an hour",
  },
  'caller.refused': {
    rule: 'counted',
    says: "a token was shown to the API that is neither the owner's nor a handle",
  },
  login: { rule: 'anyway', says: 'a person logged in: provider, agent' },
  'login.refused': {
    rule: 'counted',
    says: 'a login that a provider or the gateway refused, and why',
  },
  'token.accepted': {
    rule: 'anyway',
    says: 'a token of a workload or a service made an agent: rule',
  },
  'token.refused': { rule: 'counted', says: 'a token that made none, and why' },
  'token.replayed': { rule: 'counted', says: 'a token that was shown a second time' },
  exchange: { rule: 'anyway', says: 'an agent got a child for a token (RFC 8693)' },
  'agent.born': {
    rule: 'refuse',
    says: 'an agent was made: how, chain, what was cut from its grant',
  },
  'agent.narrowed': { rule: 'anyway', says: 'an agent may do less from here on' },
  'agent.renewed': { rule: 'refuse', says: "an agent's end was moved" },
  'agent.ticket': { rule: 'refuse', says: 'a ticket for a child elsewhere' },
  'agent.frozen': { rule: 'anyway', says: 'reason, number of agents in the subtree' },
  'agent.unfrozen': { rule: 'refuse', says: 'reason, number of agents' },
  'agent.ended': { rule: 'anyway', says: 'an agent said that it is done, or its parent did' },
  'agent.expired': { rule: 'anyway', says: 'its time was over, or nobody heard of it' },
  'agent.revoked': { rule: 'anyway', says: 'reason, number of agents in the subtree' },
  'agent.finding': {
    rule: 'anyway',
    says: 'a sign that a credential or a handle is shared: rule, action',
  },
  'credential.issued': {
    rule: 'refuse',
    says: 'a credential for a connection: id, level, uses, end',
  },
  'connection.added': {
    rule: 'refuse',
    says: 'target, login user, TLS, settings; never the password',
  },
  'connection.changed': {
    rule: 'refuse',
    says: 'as added, where there was one of that name; or the settings that changed',
  },
  'connection.removed': { rule: 'refuse', says: 'with how many credentials' },
  'guard.run': {
    rule: 'refuse',
    says: 'what was asked of the guard at a target: plan, apply, drop',
  },
  'policies.loaded': { rule: 'anyway', says: 'number, rules, SHA-256 of the files' },
  'policies.refused': {
    rule: 'anyway',
    says: 'files that are not in force, and the first problem',
  },
  'policies.simulated': {
    rule: 'refuse',
    says: 'other policies were asked about what is recorded: since when',
  },
  'identity.read': {
    rule: 'anyway',
    says: 'the identity files were read; the first problem, where there is one',
  },
  'exports.read': {
    rule: 'anyway',
    says: 'the export files were read; the first problem, where there is one',
  },
  'export.tested': { rule: 'refuse', says: 'a test event was sent to where an export goes' },
  'channels.read': {
    rule: 'anyway',
    says: 'the channel files were read; the first problem, where there is one',
  },
  'channel.tested': { rule: 'refuse', says: 'a test message was sent by a channel of approvals' },
  'channel.answered': {
    rule: 'refuse',
    says: 'a channel says what a person answers: the person, the decision; the answer itself follows, or its refusal',
  },
  'channel.refused': {
    rule: 'counted',
    says: 'an answer that a channel brought was not taken, and why',
  },
  'channel.linked': {
    rule: 'refuse',
    says: 'a person linked an account of a chat, after a login: team and account, principal',
  },
  'channel.unlinked': { rule: 'refuse', says: 'such a link was ended, by the person or the owner' },
  'channel.failed': {
    rule: 'anyway',
    says: 'a channel begins to fail, or gives a message up: problem, requests that it was about',
  },
  'signal.applied': {
    rule: 'anyway',
    says: 'what a provider reported (SCIM, SSF, logout), and how many roots it reached',
  },
  'signal.refused': { rule: 'counted', says: 'a report that was not taken, and why' },
  'signal.by-name': { rule: 'anyway', says: 'a person was found by a name alone' },
  'session.viewed': { rule: 'refuse', says: 'a recording was read: form' },
  'session.watched': { rule: 'refuse', says: 'somebody watches: a session, an agent, a search' },
  'session.exported': { rule: 'refuse', says: 'recordings left the gateway as an archive' },
  'incident.opened': { rule: 'refuse', says: 'an incident was opened: title, what it covers' },
  'incident.closed': { rule: 'refuse', says: 'an incident was closed: note, holds that stay' },
  'incident.reported': { rule: 'refuse', says: 'the report of an incident was made: form' },
  'ledger.read': { rule: 'refuse', says: 'the ledger was searched: query' },
  'approval.asked': {
    rule: 'anyway',
    says: 'a command waits for an approval: agent, rules, whose; SHA-256 of what it is bound to',
  },
  'approval.answered': { rule: 'refuse', says: 'somebody approved or denied it: note, bundle' },
  'approval.ended': {
    rule: 'anyway',
    says: 'how it ended: approved, denied, expired, withdrawn; by whom, why',
  },
  'approval.refused': {
    rule: 'counted',
    says: 'somebody tried to answer it who may not, and why',
  },
  'approval.often': {
    rule: 'counted',
    says: 'a tree asks so often that nobody reads it: how many requests within 10 minutes',
  },
  'approval.shape': {
    rule: 'refuse',
    says: 'commands of one shape are let through for a while: for how long, by whom',
  },
  'approval.shape-used': {
    rule: 'refuse',
    says: 'one of them was: session, command, its estimate and the most that is let through',
  },
  'approval.shape-ended': { rule: 'anyway', says: 'they are asked for again: why, how many went' },
  'approval.previewed': {
    rule: 'anyway',
    says: 'the gateway asked the target what it would do, without running it: connection, database',
  },
  'approval.counted': {
    rule: 'refuse',
    says: 'somebody had the rows counted that it would meet: connection, the statement that counts',
  },
  'breakglass.opened': {
    rule: 'refuse',
    says: 'somebody lets an agent run without approvals: agent, connections, reason, grant, incident, end',
  },
  'breakglass.used': {
    rule: 'refuse',
    says: 'a command went on by that: session, command, its rules and whom they name, reason',
  },
  'breakglass.ended': { rule: 'anyway', says: 'it is over: why, how many commands, incident' },
  'breakglass.refused': {
    rule: 'counted',
    says: 'somebody tried to, or to close its incident, who may not, and why',
  },
  'hold.added': {
    rule: 'refuse',
    says: 'a session or a tree is kept, whatever retention says: hold, reason',
  },
  'hold.removed': { rule: 'refuse', says: 'it is no longer: hold, reason' },
  'retention.erased': {
    rule: 'refuse',
    says: 'a recording is erased: why, its parts with entries and last hash, hash of its seal',
  },
  'retention.approvals-erased': {
    rule: 'refuse',
    says: 'requests for approval are erased: why, how many, when the first and the last ended',
  },
  'index.rebuilt': { rule: 'refuse', says: 'the index of searches is made anew' },
  'key.rotated': {
    rule: 'refuse',
    says: 'recordings are signed with a new key: its thumbprint, that of the old one',
  },
  'rate.limited': { rule: 'counted', says: 'a source or an agent asked too often' },
  'ledger.lost': {
    rule: 'anyway',
    says: 'facts that could not be written and had no room to wait: how many',
  },
} as const satisfies Record<string, FactKind>

/** The name of a fact. */
export type FactName = keyof typeof FACTS

/** What a fact may say beside who, what and to whom. Never a secret, and small. */
export type FactDetail = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[]>
>
