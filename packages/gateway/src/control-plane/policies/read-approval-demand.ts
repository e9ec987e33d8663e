import type { ApprovalDemand } from '@sallyport/core'
import { FieldReader } from './field-reader.ts'
import type { YamlSource } from './yaml-source.ts'

const fieldNames = ['from', 'count', 'within', 'offer', 'shape', 'selfRoot', 'wait', 'chat']
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const withinDefault = '10m'
const withinMsMax = 24 * 3_600_000
const shapeMsMax = 8 * 3_600_000
const shapeRowsDefault = 1000
const approversMax = 20
/** More than this is not decided at a glance. */
const chatRowsMax = 10_000
/** An agent's id, or its name below a principal, whose id may hold anything. */
const agentPattern = /^agent:(?:a_[0-9a-z]+|[a-z0-9][a-z0-9-]{0,31}@.+)$/u

/** Reads `{from: [group:dba], count: 1, within: 10m, offer: [once, shape-30m], shape: {maxRows: 500}, selfRoot: deny, wait: hold}`. */
export function readApprovalDemand(
  source: YamlSource,
  node: unknown,
  path: string,
): ApprovalDemand {
  const approve = new FieldReader(source, node, path, fieldNames)
  approve.require('from')
  return {
    from: readFrom(approve),
    count: approve.int('count', 1, approversMax) ?? 1,
    withinMs: readWithin(approve),
    offer: readOffer(approve),
    shapeRowsMax: readShapeRows(approve),
    selfRoot: approve.oneOf('selfRoot', ['deny', 'allow']) ?? 'deny',
    wait: approve.oneOf('wait', ['hold', 'return']) ?? 'hold',
    ...readChat(approve),
  }
}

function readFrom(approve: FieldReader): string[] {
  const from = approve.texts('from')
  if (approve.has('from') && from.length === 0) approve.report('from', 'nobody could approve')
  for (const each of from) {
    if (/^(?:owner|(?:group|user):.+)$/u.test(each) || agentPattern.test(each)) continue
    const isAgent = each.startsWith('agent:')
    const what = isAgent ? 'may be anybody: agents choose their names' : 'names nobody'
    const hint = isAgent
      ? 'its id, agent:a_9q2…, or agent:NAME@PRINCIPAL with the id of who is at the root of its tree'
      : 'owner, group:dba, user:maria@example.com, agent:a_9q2…'
    approve.report('from', `"${each}" ${what}`, hint)
  }
  return from
}

function readWithin(approve: FieldReader): number {
  const within = approve.text('within') ?? withinDefault
  const ms = durationMs(within)
  if (ms === undefined) approve.report('within', `"${within}" is not a duration`, 'for example 10m')
  else if (ms > withinMsMax) approve.report('within', 'a command is held for at most 24 h')
  return ms ?? 0
}

function readOffer(approve: FieldReader): string[] {
  const offer = approve.has('offer') ? approve.texts('offer') : ['once']
  if (offer.length === 0) approve.report('offer', 'offer offers nothing', 'for example [once]')
  for (const each of offer) {
    const shape = /^shape-(.*)$/u.exec(each)?.[1]
    const ms = shape === undefined ? undefined : durationMs(shape)
    if (each !== 'once' && each !== 'bundle' && ms === undefined) {
      approve.report('offer', `"${each}" cannot be offered`, 'once, shape-30m, bundle')
    } else if ((ms ?? 0) > shapeMsMax) {
      approve.report('offer', `"${each}": a shape is approved for at most 8 h`)
    }
  }
  // Each of a bundle is approved once, and few of them are no bundle.
  if (offer.includes('bundle') && !offer.includes('once'))
    approve.report('offer', 'bundle needs once', 'for example [once, bundle]')
  return offer
}

function readShapeRows(approve: FieldReader): number {
  if (!approve.has('shape')) return shapeRowsDefault
  const shape = new FieldReader(approve.source, approve.get('shape'), approve.at('shape'), [
    'maxRows',
  ])
  return shape.int('maxRows', 0, Number.MAX_SAFE_INTEGER) ?? shapeRowsDefault
}

/** Whoever may answer in a chat does so by an account of the chat, so that there is no default. */
function readChat(approve: FieldReader): { readonly chatRowsMax?: number } {
  if (!approve.has('chat')) return {}
  const chat = approve.inner('chat', ['maxRows'])
  chat.require('maxRows')
  if (approve.has('offer') && !approve.texts('offer').includes('once'))
    approve.report('chat', 'a chat approves once, and offer has no once')
  const rows = chat.int('maxRows', 0, chatRowsMax)
  return rows === undefined ? {} : { chatRowsMax: rows }
}

/** Milliseconds of `45s`, `10m`, `8h`, `2d`; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const match = /^([1-9]\d{0,4})([smhd])$/u.exec(text)
  return match === null ? undefined : Number(match[1]) * (unitMs[match[2] ?? ''] ?? Number.NaN)
}
