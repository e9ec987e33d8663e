import { visibleText } from '@sallyport/core'
import type { AnswerView, ApprovalState, ApprovalView, PreviewView } from '../approval.ts'

/** What may be told of a request outside of the gateway. All that a caller wrote is short, in one line, and shows what is in it. */
export interface ToldApproval {
  readonly id: string
  readonly state: ApprovalState
  /** SHA-256 of all that an answer is bound to. */
  readonly binding: string
  /** Where a person answers, after a login; absent where nobody can log in. */
  readonly url?: string
  readonly agent: string
  /** Names, root first. */
  readonly chain: readonly string[]
  readonly level: number
  readonly connection: string
  readonly database: string
  readonly class: string
  readonly verb: string
  readonly objects: readonly string[]
  /** Without values and comments; absent where it could not be told apart from them. */
  readonly statement?: string
  readonly rules: readonly string[]
  /** Whose approval is asked for: `1 of group:dba`. */
  readonly wants: string
  /** Rows by the planner's estimate; absent where that is not known. */
  readonly estimatedRows?: number
  readonly askedAt: string
  readonly until: string
  readonly endedAt?: string
  readonly answers: readonly Pick<AnswerView, 'by' | 'kind' | 'answer' | 'note' | 'at'>[]
  /** It may be answered in a chat, by who has linked their account. */
  readonly isForChat: boolean
  /** Why it was withdrawn. */
  readonly note?: string
}

/** Of anything that a caller may choose the text of. */
const charsMax = 120
const objectsMax = 10

/** `urlOf` gives where a request is answered. */
export function toldOf(
  view: ApprovalView,
  urlOf: (id: string) => string | undefined,
): ToldApproval {
  const { outline, preview, note, endedAt } = view
  const url = urlOf(view.id)
  const estimate = preview?.estimate
  const objects = view.objects.slice(0, objectsMax).map(oneLine)
  const more = view.objects.length - objects.length
  return {
    id: view.id,
    state: view.state,
    binding: view.binding,
    ...(url === undefined ? {} : { url }),
    agent: view.agent,
    chain: view.chain.map(oneLine),
    level: view.level,
    connection: oneLine(view.connection),
    database: oneLine(view.database),
    class: view.class,
    verb: view.verb,
    objects: more === 0 ? objects : [...objects, `and ${more} more`],
    ...(outline === undefined ? {} : { statement: oneLine(outline) }),
    rules: view.demands.map(({ rule }) => rule),
    wants: view.demands.map(({ from, count }) => `${count} of ${from.join(', ')}`).join(' and '),
    ...(estimate?.known === true ? { estimatedRows: estimate.value } : {}),
    askedAt: view.askedAt,
    until: view.until,
    ...(endedAt === undefined ? {} : { endedAt }),
    isForChat: isForChat(view),
    answers: view.answers.map((each) => ({ ...each, by: oneLine(each.by) })),
    ...(note === undefined ? {} : { note: oneLine(note) }),
  }
}

/**
 * Every rule that asks has to say so, and the planner has to know that it is small. It counts rows of the statement's own
 * tables: where anything else may follow from them, or nobody knows what is changed, it is not small.
 */
export function isForChat(view: ApprovalView): boolean {
  const { demands, preview } = view
  const estimate = preview?.estimate
  if (estimate?.known !== true || demands.length === 0) return false
  if (view.class !== 'read' && !hasNoMoreEffects(preview?.tables)) return false
  return demands.every(
    ({ chatRowsMax, offer }) =>
      chatRowsMax !== undefined && offer.includes('once') && estimate.value <= chatRowsMax,
  )
}

function hasNoMoreEffects(tables: PreviewView['tables'] | undefined): boolean {
  if (tables?.known !== true || tables.value.length === 0) return false
  return tables.value.every(({ cascades, triggers }) => cascades.length + triggers.length === 0)
}

/** A text of somebody else's: cut, with what can't be seen written out. */
export function oneLine(text: string): string {
  const seen = visibleText(text.replaceAll('\t', ' '))
    // Readers of mail and chats make links of these by themselves.
    .replaceAll(/:\/\/|www\./giu, (sign) => `${sign.slice(0, -2)} ${sign.slice(-2)}`)
    .replaceAll(/\p{Cf}/gu, (sign) => String.raw`\u{${sign.codePointAt(0)?.toString(16) ?? ''}}`)
    .toWellFormed()
  return seen.length <= charsMax ? seen : `${seen.slice(0, charsMax - 1).toWellFormed()}…`
}
