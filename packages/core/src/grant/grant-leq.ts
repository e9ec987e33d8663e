import type { GrantLayer, GrantWindow, Permission } from '../chain.ts'
import { canonicalPermits } from './canonical-layer.ts'
import { cidrLeq, parseCidr } from './cidr.ts'
import { effectBits, effectsOfBits } from './effect-bits.ts'
import { hoursLeq, parseHours } from './hours.ts'
import { isGlobCovered } from './permission.ts'
import { printAllow } from './print-allow.ts'

/** What a child asks for and its parents do not hold, and what they hold on the same connections, as texts of permits. */
export interface Missing {
  readonly missing: readonly string[]
  readonly held: readonly string[]
}

/** A layer that its parents hold, and the texts of what was cut off. */
export interface CutLayer {
  readonly layer: GrantLayer
  readonly cut: readonly string[]
}

/** More pieces than a permit that a person writes has; beyond it a permit counts as not held. */
const piecesMax = 1024
/** Comparisons of permits in one question: some tens of milliseconds. Beyond it nothing more counts as held, which is always safe. */
const effortMax = 100_000
/** Spent by the question under way; each begins anew. */
let effort = 0

/** A cut leaves at most as many permits as a layer may have; the rest is cut too. Keeps the cost of a made-up grant small. */
const permitsMax = 64

/**
 * True only where the child allows nothing that one of the parents refuses; `parents` are all layers of all agents above.
 * Syntactic: sound, but it may say false of a grant that is narrower. Nothing relies on it for safety, since every layer decides at request time.
 */
export function grantLeq(child: GrantLayer, parents: readonly GrantLayer[]): boolean {
  effort = 0
  return parents.every((parent) => layerLeq(child, parent))
}

/**
 * Leaves out each layer that another one implies: what is left allows the same, since all layers have to hold. Where that
 * can't be proven with the effort of one question, the layer stays.
 */
export function foldLayers(layers: readonly GrantLayer[]): readonly GrantLayer[] {
  effort = 0
  let kept: readonly GrantLayer[] = []
  for (const layer of layers) {
    if (kept.some((other) => layerLeq(other, layer))) continue
    kept = [...kept.filter((other) => !layerLeq(layer, other)), layer]
  }
  return kept
}

function layerLeq(child: GrantLayer, parent: GrantLayer): boolean {
  const held = child.permits.every((permit) => isHeld(permit, parent.permits))
  return held && windowLeq(child.window, parent.window) && clientLeq(child, parent)
}

/** What the permits of the child name beyond those of the parents. Windows, clients and row limits of the parents hold for the child whether it repeats them or not, so they are missing only where it asks for more rows by number. */
export function missingFrom(child: GrantLayer, parents: readonly GrantLayer[]): Missing {
  effort = 0
  const lacking = child.permits.flatMap((permit) => lackingOf(permit, parents))
  if (lacking.length === 0) return { missing: [], held: [] }
  const everything: Permission = {
    connections: lacking.flatMap((permit) => permit.connections),
    classes: ['*', 'unknown'],
    dimensions: {},
  }
  return {
    missing: canonicalPermits(lacking).map(printAllow),
    held: meetAll([everything], parents).map(printAllow),
  }
}

/** Leaves of the child what the parents hold: nothing that it gives back is missing. It may leave no permit at all. */
export function cutTo(child: GrantLayer, parents: readonly GrantLayer[]): CutLayer {
  const { missing } = missingFrom(child, parents)
  if (missing.length === 0) return { layer: child, cut: [] }
  return { layer: { ...child, permits: meetAll(child.permits, parents) }, cut: missing }
}

/** The part of a permit that one of the parents lacks, by connection and class; the limits stay as they were asked for. */
function lackingOf(permit: Permission, parents: readonly GrantLayer[]): readonly Permission[] {
  return permit.connections.flatMap((connection) => {
    const classes = effectsOfBits(effectBits(permit.classes)).filter((effect) => {
      // Without a number of its own it has the rows of its parents.
      const rowsMax = permit.rowsMax ?? 1
      const piece = { ...permit, connections: [connection], classes: [effect], rowsMax }
      return !parents.every((parent) => isHeld(piece, parent.permits))
    })
    return classes.length === 0 ? [] : [{ ...permit, connections: [connection], classes }]
  })
}

/** A permit is held where each of its pieces lies within one permit of the parent. */
function isHeld(permit: Permission, parent: readonly Permission[]): boolean {
  if (parent.some((held) => permitLeq(permit, held))) return true
  const pieces = piecesOf(permit)
  return pieces?.every((piece) => parent.some((held) => permitLeq(piece, held))) ?? false
}

/** One permit for each combination of connection, class and globs; undefined where they are too many. */
function piecesOf(permit: Permission): readonly Permission[] | undefined {
  const classes = effectsOfBits(effectBits(permit.classes))
  const dimensions = Object.entries(permit.dimensions)
  const lists = dimensions.map(([, globs]) => Math.max(globs.length, 1))
  const count = lists.reduce((sum, each) => sum * each, permit.connections.length * classes.length)
  if (count > piecesMax) return undefined
  let pieces: Permission[] = permit.connections.flatMap((connection) =>
    classes.map((effect) => ({ ...permit, connections: [connection], classes: [effect] })),
  )
  for (const [name, globs] of dimensions) {
    // No glob at all still permits what touches no object, so it stays one piece.
    const choices = globs.length === 0 ? [[]] : globs.map((glob) => [glob])
    pieces = pieces.flatMap((piece) =>
      choices.map((choice) => ({
        ...piece,
        dimensions: { ...piece.dimensions, [name]: choice },
      })),
    )
  }
  return pieces
}

function permitLeq(piece: Permission, held: Permission): boolean {
  effort += 1
  if (effort > effortMax) return false
  if ((effectBits(piece.classes) & ~effectBits(held.classes)) !== 0) return false
  if (!((piece.rowsMax ?? Infinity) <= (held.rowsMax ?? Infinity))) return false
  if (!areCovered(piece.connections, held.connections)) return false
  return Object.entries(held.dimensions).every(([name, globs]) => {
    const own = Object.hasOwn(piece.dimensions, name) ? piece.dimensions[name] : undefined
    return own !== undefined && areCovered(own, globs)
  })
}

function areCovered(globs: readonly string[], others: readonly string[]): boolean {
  return globs.every((glob) => isGlobCovered(glob, others))
}

function meetAll(
  permits: readonly Permission[],
  parents: readonly GrantLayer[],
): readonly Permission[] {
  let met = canonicalPermits(permits)
  for (const parent of parents) {
    const both = met.flatMap((permit) => parent.permits.flatMap((held) => meet(permit, held)))
    met = withoutCovered(canonicalPermits(both).slice(0, permitsMax))
  }
  return met
}

/** The permit that allows what both allow, as far as globs can say it; none where they have nothing in common. */
function meet(a: Permission, b: Permission): readonly Permission[] {
  effort += 1
  if (effort > effortMax) return []
  const connections = meetGlobs(a.connections, b.connections)
  const classes = effectsOfBits(effectBits(a.classes) & effectBits(b.classes))
  if (connections.length === 0 || classes.length === 0) return []
  const dimensions: Record<string, readonly string[]> = { ...a.dimensions }
  for (const [name, globs] of Object.entries(b.dimensions)) {
    const own = dimensions[name]
    const both = own === undefined ? globs : meetGlobs(own, globs)
    if (both.length === 0) return []
    dimensions[name] = both
  }
  const rowsMax = Math.min(a.rowsMax ?? Infinity, b.rowsMax ?? Infinity)
  return [{ connections, classes, dimensions, ...(rowsMax === Infinity ? {} : { rowsMax }) }]
}

/** The globs of either list that the other one covers. Two globs of which neither covers the other are left out, so the result is never too wide. */
function meetGlobs(a: readonly string[], b: readonly string[]): readonly string[] {
  const narrow = [
    ...a.filter((glob) => isGlobCovered(glob, b)),
    ...b.filter((glob) => isGlobCovered(glob, a)),
  ]
  return [...new Set(narrow)]
}

function withoutCovered(permits: readonly Permission[]): readonly Permission[] {
  return permits.filter((permit, at) => {
    return !permits.some((other, index) => {
      if (index === at || !permitLeq(permit, other)) return false
      return index < at || !permitLeq(other, permit)
    })
  })
}

function windowLeq(child: GrantWindow | undefined, parent: GrantWindow | undefined): boolean {
  if (parent === undefined) return true
  // Written so that a limit that is no number is never passed.
  if (!((child?.afterMs ?? -Infinity) >= (parent.afterMs ?? -Infinity))) return false
  if (!((child?.beforeMs ?? Infinity) <= (parent.beforeMs ?? Infinity))) return false
  if (parent.hours === undefined) return true
  const inner = child?.hours === undefined ? '' : parseHours(child.hours)
  const outer = parseHours(parent.hours)
  return typeof inner !== 'string' && typeof outer !== 'string' && hoursLeq(inner, outer)
}

function clientLeq(child: GrantLayer, parent: GrantLayer): boolean {
  const minLevel = parent.client?.minLevel ?? -Infinity
  if (!((child.client?.minLevel ?? -Infinity) >= minLevel)) return false
  const outer = parent.client?.cidr?.map(parseCidr)
  if (outer === undefined) return true
  return (
    child.client?.cidr?.map(parseCidr).every((inner) => {
      if (typeof inner === 'string') return true
      return outer.some((cidr) => typeof cidr !== 'string' && cidrLeq(inner, cidr))
    }) ?? false
  )
}
