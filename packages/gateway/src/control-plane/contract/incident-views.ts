import * as z from 'zod'
import { count, flag, list, moment, object, opt, text } from './schema.ts'

const scope = z
  .discriminatedUnion('kind', [
    object({ kind: z.literal('session'), text }),
    object({ kind: z.literal('agent'), text }),
    object({ kind: z.literal('query'), text }),
  ])
  .meta({ id: 'IncidentScope' })

/** What an incident covers: the tree of a session's root, an agent with all below it, or the sessions that a search finds. */
export type IncidentScope = z.output<typeof scope>

export const incidentView = object({
  id: text,
  title: text,
  openedBy: text,
  openedAt: moment,
  scope,
  from: opt(moment),
  until: opt(moment),
  sessions: list(text).describe(
    'Ids of the sessions that it covers. They only become more, until `until` or until it is closed.',
  ),
  glass: opt(object({ id: text, by: text, review: list(text) })).describe(
    'Of a glass that was broken: by whom, and who may close the incident, but for them.',
  ),
  closed: opt(object({ at: moment, by: text, note: text })).describe('Absent while it is open.'),
}).meta({ id: 'Incident' })

/** An incident as the API shows it. */
export type IncidentView = z.output<typeof incidentView>

export const heldIncident = object({ ...incidentView.unwrap().shape, holds: list(text) }).meta({
  id: 'HeldIncident',
  description:
    'An incident with the holds that were put on what it covers, and that nobody has taken away.',
})

/** An incident with the holds that were put on what it covers, and that nobody has taken away. */
export type HeldIncident = z.output<typeof heldIncident>

const place = { session: text, seq: opt(count) }

/** A place in a recording: `sallyport replay SESSION --at '#seq'` shows it. */
export interface Place {
  readonly session: string
  readonly seq?: number
}

const commandsBy = object({ allowed: count, held: count, blocked: count })

const commandShape = {
  session: text,
  seq: count,
  at: moment,
  agent: text.describe('The agent that ran it.'),
  connection: text,
  verdict: z.enum(['allowed', 'held', 'blocked']),
  approved: opt(object({ by: list(text), approval: text })).describe(
    'Who let it run that was held.',
  ),
  rules: list(text),
  class: text,
  verb: text,
  objects: list(text),
  text: text.describe('The beginning of the text.'),
  status: opt(text).describe('How the answer ended; absent where no end is recorded.'),
  tag: opt(text),
  sqlState: opt(text),
  rows: count.describe('Rows that came back.'),
  refused: opt(object({ code: text, message: text })),
}

const commandFact = object(commandShape).meta({ id: 'CommandFact' })

/** A command, with what became of it. */
export type CommandFact = z.output<typeof commandFact>

const returnedFact = object({
  ...place,
  agent: text,
  chain: text,
  connection: text,
  how: z
    .enum(['masked', 'clear'])
    .describe(
      'masked: a rule replaced the values. clear: a detector knows them in what the caller read.',
    ),
  what: text.describe('The rule, or the detector.'),
  columns: list(text).describe('Columns of answers; where a mask says from which columns, these.'),
  values: count,
  commands: list(count).describe('Numbers of the commands, the first ones.'),
})

/** Sensitive data that came back, put together by session and column. */
export type ReturnedFact = z.output<typeof returnedFact>

const changeFact = object({
  ...commandShape,
  changed: opt(count).describe("Rows, as the target's tag tells."),
  outcome: z.enum(['done', 'committed', 'rolled back', 'failed', 'unknown']),
})

export type ChangeFact = z.output<typeof changeFact>

const agentFact = object({
  at: moment,
  what: text,
  agent: text,
  by: text,
  reason: opt(text),
  ledger: text,
}).meta({ id: 'AgentFact' })

/** Something that happened to an agent, from a ledger that was verified. */
export type AgentFact = z.output<typeof agentFact>

const sessionFact = object({
  session: text,
  agent: text,
  chain: text,
  connection: text,
  database: text,
  level: count,
  source: text,
  application: text,
  openedAt: moment,
  closedAt: opt(moment),
  reason: opt(text).describe('Why it ended; absent where no end is recorded.'),
  commands: commandsBy,
})

export type SessionFact = z.output<typeof sessionFact>

const agentOfIncident = object({
  id: text,
  name: text,
  chain: text,
  parent: opt(text),
  principal: text,
  owner: text,
  born: text,
  createdAt: moment,
  state: text,
  purpose: opt(text),
  ended: opt(object({ at: moment, by: text, reason: text })),
}).meta({ id: 'AgentOfIncident' })

export type AgentOfIncident = z.output<typeof agentOfIncident>

const unknownFact = object({ session: opt(text), seq: opt(count), what: text })

/** What is not known, and where. */
export type UnknownFact = z.output<typeof unknownFact>

const reportProof = object({
  isVerified: flag.describe('True where all entries that were counted are verified.'),
  recordings: count,
  entries: count,
  unverifiedEntries: count,
  anchors: object({ from: count, to: count, count }),
  anchoredAt: opt(moment),
  signedBy: list(text).describe('Thumbprints of the keys that signed.'),
  findings: list(text),
  notes: list(text),
  ledgers: list(
    object({
      session: text,
      part: text,
      entries: count,
      head: text.describe('The hash of the last entry, hexadecimal.'),
    }),
  ).describe('Ledgers that facts were taken from, each verified from its beginning.'),
  facts: count.describe('Facts about this incident in them, all of which an archive holds.'),
})

/** How far the numbers are proven. */
export type ReportProof = z.output<typeof reportProof>

export const incidentReport = object({
  type: z.literal('sallyport.incident.1'),
  incident: incidentView,
  madeAt: moment,
  proof: reportProof,
  started: object({
    roots: list(agentOfIncident),
    agents: list(agentOfIncident),
    births: list(agentFact),
  }).describe('1: who started the chain.'),
  ran: object({ sessions: list(sessionFact), commands: list(commandFact) }).describe(
    '2: what each agent ran.',
  ),
  returned: list(returnedFact).describe('3: what sensitive data came back and to whom.'),
  changed: list(changeFact).describe('4: what changed at the targets.'),
  stopped: object({ commands: list(commandFact), agents: list(agentFact) }).describe(
    '5: what was stopped or approved, and by whom.',
  ),
  unknown: list(unknownFact).describe('6: what is not known.'),
}).meta({ id: 'IncidentReport' })

/** The answers to the six questions of an incident. */
export type IncidentReport = z.output<typeof incidentReport>
