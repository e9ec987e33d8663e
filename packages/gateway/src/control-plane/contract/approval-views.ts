import * as z from 'zod'
import { count, flag, list, moment, object, opt, text } from './schema.ts'

export const approvalState = z.enum([
  'pending',
  'approved',
  'used',
  'denied',
  'expired',
  'withdrawn',
])

/** How a request for approval stands. `used`: it was approved, and its command went on. */
export type ApprovalState = z.output<typeof approvalState>

export const approvalDecision = z.enum(['approve', 'deny'])

export type ApprovalDecision = z.output<typeof approvalDecision>

const demandView = object({
  rule: text,
  message: text,
  from: list(text),
  count,
  selfRoot: z.enum(['deny', 'allow']),
  offer: list(text).describe('How it may be approved: `once`, `shape-30m`.'),
  chatRowsMax: opt(count).describe(
    'Rows, by the estimate, up to which it may be answered in a chat; absent where it may not.',
  ),
})

export type DemandView = z.output<typeof demandView>

const answerView = object({
  by: text,
  kind: z.enum(['owner', 'person', 'agent']),
  answer: approvalDecision,
  note: text,
  at: moment,
})

export type AnswerView = z.output<typeof answerView>

const unknown = object({ known: z.literal(false), why: text })

/** Something that a preview tells, with where it comes from; or why it is not known. */
function told<Value extends z.ZodType>(value: Value): z.ZodUnion<[Known<Value>, typeof unknown]> {
  return z.union([object({ known: z.literal(true), value, source: text }), unknown])
}

type Known<Value extends z.ZodType> = z.ZodReadonly<
  z.ZodObject<{ known: z.ZodLiteral<true>; value: Value; source: z.ZodString }, z.core.$strict>
>

const tableEffect = object({
  name: text,
  rows: told(count).describe("Rows in all, as the target's statistics have it."),
  cascades: list(text).describe(
    'What foreign keys do along with it, each with the way that leads there.',
  ),
  triggers: list(text),
})

const preview = object({
  estimate: told(z.number()).describe('Rows that it would meet.'),
  count: opt(told(z.number())).describe('Asked for by somebody.'),
  tables: told(list(tableEffect)),
  locks: told(text),
  undo: told(text),
  sample: opt(told(object({ columns: list(text), rows: list(list(text.nullable())) }))).describe(
    'Of rows that it would meet. Kept only while the request waits.',
  ),
  before: told(list(object({ at: moment, verdict: text, text }))).describe(
    'What the agent did before, newest first.',
  ),
  sameShape: told(object({ days: count, approved: count, denied: count, by: list(text) })).describe(
    'How commands of the same shape on this connection were decided.',
  ),
}).meta({ id: 'Preview' })

export type PreviewView = z.output<typeof preview>

export const approvalView = object({
  id: text,
  state: approvalState,
  session: text,
  seq: count,
  agent: text,
  tree: text.describe('The root agent of its tree.'),
  chain: list(text).describe('Names, root first.'),
  level: count,
  connection: text,
  database: text,
  application: text,
  source: text,
  text: text.describe('The command as the caller sent it, perhaps cut.'),
  textLength: count.describe('Of the whole, in characters.'),
  outline: opt(text).describe(
    'The statement without values and comments, in one line, perhaps cut; absent where it could not be told.',
  ),
  parameters: list(text.nullable()),
  class: text,
  verb: text,
  objects: list(text),
  unbounded: flag,
  opaque: list(text),
  inTransaction: flag,
  demands: list(demandView).describe('Whose approval is asked for, by which rules.'),
  shape: opt(text).describe(
    'SHA-256 of the statement without its values; absent where it has no shape that could be told.',
  ),
  policyVersion: count,
  binding: text.describe('SHA-256 of all that the approval is bound to.'),
  wait: z.enum(['hold', 'return']),
  askedAt: moment,
  until: moment,
  endedAt: opt(moment),
  answers: list(answerView),
  note: opt(text).describe('Why it was withdrawn.'),
  often: opt(count).describe(
    'Requests of its tree within 10 minutes, where they are more than 10.',
  ),
  bundle: opt(object({ id: text, title: text })).describe(
    'Where many of its shape wait and all rules offer it: what it may be answered with.',
  ),
  preview: opt(preview).describe(
    'What it would do; absent before anybody has looked, and for the tree that asks.',
  ),
}).meta({ id: 'Approval' })

/** A request for approval as the API shows it. */
export type ApprovalView = z.output<typeof approvalView>

export const shapeView = object({
  id: text.describe('Of the request that was approved by its shape.'),
  agent: text,
  chain: list(text).describe('Names, root first.'),
  connection: text,
  database: text,
  text: text.describe('The command that was approved; others of its shape differ in values alone.'),
  rules: list(text),
  rowsMax: z
    .number()
    .describe("Rows, by the planner's estimate, above which it is asked as usual."),
  by: list(text),
  since: moment,
  until: moment,
  uses: count,
}).meta({ id: 'ApprovedShape' })

/** What a shape that was approved lets through, as the API shows it. */
export type ShapeView = z.output<typeof shapeView>

export const bundleView = object({
  id: text.describe('Of the set: as soon as a request comes or ends it is another one.'),
  title: text,
  connection: text,
  database: text,
  until: moment.describe('When the first of them expires.'),
  requests: list(approvalView),
}).meta({ id: 'Bundle' })

/** A bundle as the API shows it, with all of its requests. */
export type BundleView = z.output<typeof bundleView>
