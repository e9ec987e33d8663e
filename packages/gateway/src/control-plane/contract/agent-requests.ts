import * as z from 'zod'
import { budgetKind } from './agent-views.ts'
import { flag, given, object, upTo } from './schema.ts'

const idCharactersMax = 64
/** Names are shorter; who asks for a longer one reads what a name has to be. */
const nameCharactersMax = 255
const ttlCharactersMax = 32
const allowMax = 1000
const allowCharactersMax = 4096
const purposeCharactersMax = 500
const reasonCharactersMax = 500
const ticketCharactersMax = 256
const keyCharactersMax = 128
/** Enough for a run, a model and a host; each is kept with the agent for good. */
const declaredMax = 16
const declaredCharactersMax = 200

const ttl = given(ttlCharactersMax).describe('Such as 90s, 20m, 8h or 2d.')

const words = (what: string): z.ZodType<Record<string, string>, Record<string, string>> =>
  z
    .record(given(declaredCharactersMax), z.string().max(declaredCharactersMax))
    .refine((pairs) => Object.keys(pairs).length <= declaredMax, {
      error: `${what} must be an object of at most ${declaredMax} texts`,
    })

const granted = {
  allow: upTo(allowMax, given(allowCharactersMax))
    .optional()
    .describe('Such as shop:read; all that the parent holds where absent or empty.'),
  grant: z.unknown().optional().describe('A grant document in the place of allow; docs/agents.md.'),
}

const budget = z
  .partialRecord(budgetKind, z.int().min(0))
  .optional()
  .describe('Caps of the agent and all below it.')

const root = { ...granted, ttl: ttl.optional(), budget }

const child = {
  name: given(nameCharactersMax),
  ...root,
  purpose: z.string().max(purposeCharactersMax).optional(),
  cut: flag
    .optional()
    .describe('Asking for too much is cut down to what the parent has, and not refused.'),
  detach: flag.optional().describe('It may outlive the process of its parent.'),
  declared: words('declared').optional().describe('What the agent says of itself.'),
  reserve: flag
    .optional()
    .describe('The budget is taken from those above at birth, and what is left comes back.'),
}

export const newRoot = object({ name: given(nameCharactersMax).optional(), ...root })
export const newChild = object(child).meta({ id: 'NewChild' })
export const newTicket = object({
  ...child,
  expect: words('expect').optional().describe('Claims that who redeems it must show.'),
  ticketTtl: ttl.optional().describe('Of the ticket; ttl is that of the child.'),
}).meta({ id: 'NewTicket' })
export const redemption = object({
  ticket: given(ticketCharactersMax),
  name: given(nameCharactersMax).optional(),
  declared: words('declared').optional(),
})
export const mint = object({
  connection: given(nameCharactersMax),
  protocol: z.literal('postgres').optional(),
  maxUses: z.number().optional().describe('1 where absent.'),
  ttl: ttl.optional(),
  level: z
    .number()
    .optional()
    .describe('Attribution level of its sessions: 2 for one use, 1 for more, where absent.'),
})
export const narrowing = object(granted)
export const renewal = object({ ttl })
export const reason = object({ reason: z.string().max(reasonCharactersMax).optional() })

export const wait = object({
  wait: z
    .enum(['closed', 'none'], { error: 'wait is closed or none' })
    .optional()
    .describe('Until each worker has closed or is fenced, or not at all; a second where absent.'),
})

export const idempotency = object({
  'idempotency-key': z
    .string()
    .min(1, { error: `an Idempotency-Key has 1 to ${keyCharactersMax} characters` })
    .max(keyCharactersMax, { error: `an Idempotency-Key has 1 to ${keyCharactersMax} characters` })
    .optional()
    .describe('A create that is sent again with the same key gives the same agent.'),
})

export const one = object({
  id: given(idCharactersMax).describe('The id, its beginning, or self for the agent that asks.'),
})
