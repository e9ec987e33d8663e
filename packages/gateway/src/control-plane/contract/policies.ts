import type { CommandEntry, ExplainedRule, Policy } from '@sallyport/core'
import * as z from 'zod'
import { type Endpoints, media } from './endpoint.ts'
import { count, flag, given, list, moment, object, opaque, opt, text, upTo } from './schema.ts'

const nameCharactersMax = 255
const fileCharactersMax = 255
const filesMax = 1000
/** The body has a smaller limit. */
const textCharactersMax = 256 * 1024
const idCharactersMax = 64
const timeCharactersMax = 64
const agentCharactersMax = 128
const versionMax = 999_999_999

const effect = z.enum(['allow', 'approve', 'block'])

const knownGroup = object({
  from: z
    .enum(['directory', 'logins'])
    .describe(
      'directory: a provider keeps the group here, so these are all. logins: these have been seen in it, and there may be more.',
    ),
  people: list(text),
}).meta({ id: 'KnownGroup' })

/** Who is in a group, as far as a gateway knows. */
export type KnownGroup = z.output<typeof knownGroup>

const policyVersionView = object({
  version: count,
  sha256: text.describe('Of the policies as they were understood, hexadecimal.'),
  author: text.describe(
    'Who put it in force; empty where that is not known, as for files that were edited.',
  ),
  loadedAt: moment,
  policies: count,
  rules: count,
}).meta({ id: 'PolicyVersion' })

/** What a list of versions shows of each. */
export type PolicyVersionView = z.output<typeof policyVersionView>

const policyFile = object({
  file: given(fileCharactersMax),
  text: z.string().max(textCharactersMax),
}).meta({ id: 'PolicyFile' })

const policyVersion = object({
  version: count,
  policies: list(opaque<Policy>('A policy as it was understood.')),
  files: list(policyFile),
}).meta({ id: 'PolicyVersionFiles' })

/** A set of policies as it was in force. */
export type PolicyVersion = z.output<typeof policyVersion>

const explainedRules = object({
  effect,
  rules: list(text).describe(
    'The rules that decide, and what those in observe mode would do: as a recording has them.',
  ),
  message: text,
  each: list(
    opaque<ExplainedRule>('What a rule says, clause by clause; docs/policy-workbench.md.'),
  ),
  wayOut: list(text).describe(
    'What would have to be otherwise about the caller, the connection or the time.',
  ),
})

/** What a set of policies says about one command, rule by rule. */
export type ExplainedRules = z.output<typeof explainedRules>

const explanation = object({
  decision: opt(text).describe('Absent for a command that nobody sent.'),
  session: opt(text),
  seq: opt(count).describe('Number of the command in its session.'),
  at: opt(moment),
  effect: text,
  rules: list(text),
  policyVersion: count,
  connection: text,
  chain: list(text),
  level: count,
  class: text,
  text,
  grants: opt(list(object({ agent: text, holds: list(text) }))).describe(
    'What each agent of the chain holds, root first. Only of a command that nobody sent: grants are not recorded with decisions.',
  ),
  refused: opt(object({ code: text, message: text })).describe(
    'What kept it from running, in the words that the caller read.',
  ),
  explained: opt(explainedRules).describe('Rule by rule.'),
  unexplained: opt(text).describe('Why there is no `explained`.'),
  differs: opt(flag).describe(
    'True where the rules, asked once more, do not say what was recorded: a fault of the gateway.',
  ),
  lineage: list(text),
  masked: list(object({ rule: text, values: count })),
}).meta({ id: 'Explanation' })

/** Why a command was decided as it was, or would be. */
export type Explanation = z.output<typeof explanation>

const recordedCommand = object({
  decision: text,
  session: text,
  seq: count,
  class: text as unknown as z.ZodType<CommandEntry['class'], CommandEntry['class']>,
  verb: text,
  objects: list(z.unknown()) as unknown as z.ZodType<
    CommandEntry['objects'],
    CommandEntry['objects']
  >,
  text,
  inTransaction: flag,
  askedAtMs: z.number(),
  sessionFacts: text.describe('As they stand in the recording.'),
  effectsFacts: text.describe('As they stand in the recording.'),
  effect: effect.describe(
    "What the rules of then say, without what came behind them: masks that can't be kept, budgets, approvals.",
  ),
  rules: list(text).describe('The rules that decided so.'),
  reads: list(text).describe('Facts that the conditions read which were asked.'),
}).meta({ id: 'RecordedCommand' })

/** A recorded command with all that its rules read, to make a test of it. */
export type RecordedCommand = z.output<typeof recordedCommand>

const changeKind = z.enum([
  'allowed → held',
  'allowed → blocked',
  'held → blocked',
  'clear → masked',
  'blocked → held',
  'blocked → allowed',
  'held → allowed',
  'masked → clear',
])

/** What would become of a command that had another fate. */
export type ChangeKind = z.output<typeof changeKind>

const changedCommand = object({
  decision: text,
  session: text,
  seq: count,
  agent: text,
  connection: text,
  text: text.describe('The beginning of it.'),
  rulesBefore: list(text),
  rulesAfter: list(text),
})

/** A command that would fare otherwise. */
export type ChangedCommand = z.output<typeof changedCommand>

const change = object({
  kind: changeKind,
  loosens: flag,
  commands: count,
  mostly: object({ agent: text, what: text, commands: count }).describe(
    'Who does what most often.',
  ),
  examples: list(changedCommand).describe('The first of them.'),
})

/** One kind of change. */
export type Change = z.output<typeof change>

const ruleHits = object({ id: text, matched: count, decided: count })

const simulationShape = {
  commands: count.describe(
    'Each counted once; a statement that was prepared counts when it is executed.',
  ),
  unchanged: count,
  changes: list(change),
  cannotJudge: list(object({ why: text, commands: count })).describe(
    "By why; a command that can't be judged is never counted as unchanged.",
  ),
  notAsked: count.describe(
    'Refused before rules were asked, by a grant or for the agent: no policy changes that.',
  ),
  unknownFacts: list(object({ cause: text, commands: count })).describe(
    'Facts that were not known, and so count as a match of rules that restrict: how many commands met each.',
  ),
  faults: list(text).describe(
    'Decisions that the policies of then do not make again: a fault of the gateway.',
  ),
  faultCount: count,
  rules: list(ruleHits),
}

const simulationReport = object(simulationShape)

/** What another set of policies would have made of recorded commands. */
export type SimulationReport = z.output<typeof simulationReport>

const simulationEvent = z
  .discriminatedUnion('kind', [
    object({ kind: z.literal('progress'), commands: count }),
    object({ kind: z.literal('report'), tookMs: count, ...simulationShape }),
  ])
  .meta({ id: 'SimulationEvent' })

/** A line of an answer that is under way: how far it is, or the end. */
export type SimulationEvent = z.output<typeof simulationEvent>

const versionNumber = object({
  number: z
    .preprocess(
      (value) =>
        typeof value === 'string' && /^[1-9]\d{0,8}$/u.test(value) ? Number(value) : value,
      z.int().min(1).max(versionMax),
    )
    .describe('Of a version.'),
})

const place = object({
  what: given(idCharactersMax).describe('A decision, or SESSION#NUMBER.'),
})

export const policyEndpoints = {
  'GET /v1/policies/groups': {
    does: 'Tells who is in which group, as far as it is known here.',
    who: 'owner',
    answer: z.record(text, knownGroup),
  },
  'GET /v1/policies/versions': {
    does: 'Lists the sets of policies that were in force, newest first.',
    who: 'owner',
    answer: list(policyVersionView),
  },
  'GET /v1/policies/versions/{number}': {
    does: 'Shows a set of policies.',
    who: 'owner',
    params: versionNumber,
    answer: policyVersion,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/policies/versions/{number}/revert': {
    does: 'Puts the files of a version in force again, as a new one.',
    who: 'owner',
    params: versionNumber,
    status: 201,
    answer: policyVersionView,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/policies/simulate': {
    does: 'Tells what these policies would have made of what was recorded since a time.',
    who: 'owner',
    body: object({
      files: upTo(filesMax, policyFile),
      since: given(timeCharactersMax).describe('7d, 2026-11-20 or 2026-11-20T14:00.'),
    }),
    answer: media({ 'application/x-ndjson': simulationEvent }),
    fails: ['SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/policies/files': {
    does: 'Hands out the files that are in force.',
    who: 'owner',
    answer: list(policyFile),
  },
  'POST /v1/policies/explain': {
    does: 'Tells what would become of a command that nobody sends.',
    who: 'owner',
    body: object({
      connection: given(nameCharactersMax),
      agent: given(agentCharactersMax).describe('Its id, or the beginning.'),
      level: z
        .int({ error: 'level is a number from 0 to 4' })
        .min(0, { error: 'level is a number from 0 to 4' })
        .max(4, { error: 'level is a number from 0 to 4' })
        .optional()
        .describe('2 where absent.'),
      command: z.string().max(textCharactersMax),
    }),
    answer: explanation,
    fails: ['SP_NOT_FOUND', 'SP_STATE_STALE', 'SP_TARGET_UNREACHABLE'],
  },
  'GET /v1/policies/recorded/{what}': {
    does: 'Hands out recorded commands with all that their rules read, to make tests of them.',
    who: 'owner',
    params: object({ what: given(idCharactersMax).describe('A session or a decision.') }),
    answer: list(recordedCommand),
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/decisions/{what}': {
    does: 'Tells why a command was decided as it was.',
    who: 'owner',
    params: place,
    answer: explanation,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints
