import { createHash } from 'node:crypto'
import type { SallyportError } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import type { BundleView } from '../contract/approval-views.ts'
import { answerRefused } from './approval.ts'
import type { Waiting } from './waiting.ts'

/** Requests that differ in values alone, and may be answered together. */
export interface Bundle {
  /** Of the set: as soon as one comes or ends it is another one, so that nobody answers what they have not seen. */
  readonly id: string
  /** `12 UPDATE on public.inventory`. */
  readonly title: string
  /** Oldest first. */
  readonly requests: readonly Waiting[]
}

export type { BundleView }

/** Up to so many are looked at one by one. */
const aloneMax = 10
const withinMs = 10 * 60_000
/** Nobody reads more at once; what comes beyond is offered when these are answered. */
const bundledMax = 100

/** The bundles among the requests that wait. */
export function bundlesOf(waiting: Iterable<Waiting>): Bundle[] {
  const alike = new Map<string, Waiting[]>()
  for (const each of waiting) {
    if (each.bundleKey === undefined) continue
    const others = alike.get(each.bundleKey)
    if (others === undefined) alike.set(each.bundleKey, [each])
    else others.push(each)
  }
  return [...alike.values()].flatMap(bundleOf)
}

/** There is none of this id now. */
export function noBundle(id: string): SallyportError {
  const detail = `there is no bundle ${id.slice(0, 32)} now: its requests are not those of then. Look again`
  return answerRefused(detail)
}

function bundleOf(alike: readonly Waiting[]): Bundle[] {
  if (alike.length <= aloneMax) return []
  const newestMs = Math.max(...alike.map(({ asked }) => asked.askedAtMs))
  const recent = alike
    .filter(({ asked }) => newestMs - asked.askedAtMs <= withinMs)
    .toSorted(({ asked: left }, { asked: right }) => left.askedAtMs - right.askedAtMs)
  const requests = recent.slice(0, bundledMax)
  const [first] = requests
  if (first === undefined || recent.length <= aloneMax) return []
  return [{ id: idOf(requests), title: titleOf(first.asked, requests.length), requests }]
}

/** SHA-256 of what each is, and of what its approval is bound to. */
function idOf(requests: readonly Waiting[]): string {
  const each = requests.map(({ asked }) => `${asked.id} ${asked.binding}`).toSorted()
  return `bd_${createHash('sha256').update(each.join('\n')).digest('hex').slice(0, 24)}`
}

function titleOf({ verb, objects }: HoldAsked, count: number): string {
  const names = objects.map((object) => object.join('.')).join(', ')
  return `${count} ${verb.toUpperCase()}${names === '' ? '' : ` on ${names}`}`
}
