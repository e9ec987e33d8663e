import fc from 'fast-check'
import type { Chain, GrantLayer, Permission } from '../chain.ts'
import { EFFECT_CLASSES, type Access, type Effects } from '../command.ts'
import type { AgentId } from '../ids.ts'
import type { GrantRequest } from './decide-grant.ts'

/** Runs of a property: few for each commit, many where `SALLYPORT_TEST_LARGE` is set. */
export function runs(small: number, large: number): number {
  return process.env['SALLYPORT_TEST_LARGE'] === '1' ? large : small
}

/** A chain whose agents hold these layers, root first. */
export function chainOfLayers(...layers: (readonly GrantLayer[])[]): Chain {
  const agents = layers.map((each, depth) => {
    const at = { createdAtMs: 0, expiresAtMs: 1 }
    return { id: `ag_${depth}` as AgentId, name: `a${depth}`, depth, layers: each, ...at }
  })
  return { root: { id: 'u', kind: 'human', name: 'u', groups: [] }, agents, level: 0 }
}

/** Effects with nothing but their accesses. */
export function effectsOf(...accesses: Access[]): Effects {
  return {
    class: 'read',
    classes: [...new Set(accesses.map((access) => access.effect))],
    verb: 'select',
    objects: [],
    accesses,
    unbounded: false,
    opaque: [],
    persists: false,
  }
}

/** Names that are awkward: folded and not, with quotes, marks of the grammar and of regular expressions. */
export const names = [
  'orders',
  'Orders',
  'ord',
  'public',
  'a.b',
  'a"b',
  'a,b',
  'a b',
  'a=b',
  'a*b',
  '.*',
  '[a-z]+',
  '\\',
  '$1',
  'orders\u0000',
  '',
]
const globs = [
  ...names.filter((name) => name !== '' && !name.includes('\u0000')),
  '*',
  '*',
  '*',
  'ord*',
  '*s',
  'o*d*s',
  'a*',
  '*"*',
  'pub*',
]
const connections = ['db', 'db2', 'DB', 'd.b']
const connectionGlobs = [...connections, '*', '*', 'd*', 'd*2']

// Grants of people name few classes; the long list would leave almost nothing allowed.
const someClasses = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(['*'], ['*', 'unknown'], ['read', 'explain', 'write']) },
  {
    weight: 1,
    arbitrary: fc.uniqueArray(fc.constantFrom(...EFFECT_CLASSES), { minLength: 1, maxLength: 4 }),
  },
)
const someGlobs = fc.uniqueArray(fc.constantFrom(...globs), { minLength: 1, maxLength: 3 })
const rows = fc.option(fc.constantFrom(1, 10, 500), { nil: undefined })

/** Permits as `parseAllow` or a grant document could make them. */
export const permissions: fc.Arbitrary<Permission> = fc
  .record({
    connections: fc.uniqueArray(fc.constantFrom(...connectionGlobs), {
      minLength: 1,
      maxLength: 2,
    }),
    classes: someClasses,
    dimensions: fc.dictionary(fc.constantFrom('db', 'schema', 'table'), someGlobs, {
      maxKeys: 2,
      noNullPrototype: true,
    }),
    rowsMax: rows,
  })
  .map(({ rowsMax, ...rest }) => (rowsMax === undefined ? rest : { ...rest, rowsMax }))

const hourMs = 3_600_000
/** A Monday in the week in which the requests fall. */
export const mondayMs = Date.UTC(2026, 2, 23)
const hours = ['Mon-Fri 08:00-19:00 Europe/Berlin', '22:00-06:00 UTC', 'Sat,Sun 00:00-24:00 UTC']
const windows = fc.record(
  {
    afterMs: fc.integer({ min: 0, max: 80 }).map((hour) => mondayMs + hour * hourMs),
    beforeMs: fc.integer({ min: 60, max: 168 }).map((hour) => mondayMs + hour * hourMs),
    hours: fc.constantFrom(...hours),
  },
  { requiredKeys: [], noNullPrototype: true },
)
const clients = fc.record(
  {
    cidr: fc.uniqueArray(
      fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '::/0', 'fd00::/8'),
      { minLength: 1, maxLength: 2 },
    ),
    minLevel: fc.integer({ min: 0, max: 3 }),
  },
  { requiredKeys: [], noNullPrototype: true },
)
/** `present` in ten times there is one. */
function sometimes<T>(present: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof(
    { weight: 10 - present, arbitrary: fc.constant(undefined) },
    { weight: present, arbitrary },
  )
}

/** Layers with one to five permits, some with a window or a client. */
export const layers: fc.Arbitrary<GrantLayer> = fc
  .record({
    permits: fc.array(permissions, { minLength: 1, maxLength: 5 }),
    window: sometimes(2, windows),
    client: sometimes(2, clients),
  })
  .map(({ permits, window, client }) => ({
    permits,
    ...(window === undefined ? {} : { window }),
    ...(client === undefined ? {} : { client }),
  }))

const accesses: fc.Arbitrary<Access> = fc
  .record({
    effect: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('read' as const, 'explain' as const) },
      { weight: 1, arbitrary: fc.constantFrom(...EFFECT_CLASSES) },
    ),
    object: fc.option(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }), {
      nil: undefined,
    }),
    resolved: fc.oneof(
      { weight: 4, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
  })
  .map(({ object, ...rest }) => (object === undefined ? rest : { ...rest, object }))

/** Commands with up to three accesses, at any hour of a week in which the clocks are changed, from anywhere. */
export const requests: fc.Arbitrary<GrantRequest> = fc
  .record({
    accesses: fc.array(accesses, { maxLength: 3 }),
    lone: sometimes(1, fc.constantFrom(...EFFECT_CLASSES)),
    connection: fc.constantFrom(...connections),
    database: fc.constantFrom('orders', 'ord', 'none'),
    minute: fc.integer({ min: 0, max: 10_080 }),
    source: fc.constantFrom('10.1.2.3', '::ffff:10.2.0.1', '192.168.0.1', 'fd00::1', '::1', ''),
    level: fc.integer({ min: 0, max: 4 }),
  })
  .map(({ accesses: some, lone, minute, ...rest }) => {
    const effects = effectsOf(...some)
    const classes = lone === undefined ? effects.classes : [...effects.classes, lone]
    return { ...rest, effects: { ...effects, classes }, nowMs: mondayMs + minute * 60_000 }
  })
