import * as z from 'zod'
import { count, list, moment, object, opt, text } from './schema.ts'

const share = z.number().min(0).max(1).nullable()
const figure = z.number().min(0)

export const approvalStats = object({
  since: moment,
  until: moment,
  asked: count.describe('Requests of that time which are in the store still.'),
  perDay: figure,
  expiredShare: share.describe('Of those that have ended; null where none has.'),
  fastShare: share.describe('Of all answers, those given in less than 5 seconds.'),
  approvers: list(
    object({
      name: text,
      answers: count,
      perDay: figure.describe('On days with an answer.'),
      medianSeconds: figure.describe('From the question to the answer.'),
      fastShare: share,
    }),
  ),
  rules: list(
    object({
      rule: text,
      asked: count,
      approved: count,
      denied: count,
      expired: count,
      proposal: opt(text).describe('Where nearly all that is asked for is approved.'),
    }),
  ),
}).meta({ id: 'ApprovalStats' })

/** How often people are asked, and whether they look. */
export type ApprovalStats = z.output<typeof approvalStats>
