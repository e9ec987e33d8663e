import type { GrantLayer, Permission } from '../chain.ts'
import type { Access } from '../command.ts'
import { matchesAny, starGlob, type NameTest } from '../policy/star-glob.ts'
import { cidrHolds, parseAddress, parseCidr, type Address, type Cidr } from './cidr.ts'
import { effectBit, effectBits } from './effect-bits.ts'
import { hoursHold, hoursHoldUntil, parseHours, type Hours } from './hours.ts'
import { DIMENSIONS, rowsProblem } from './permission.ts'

/** `unresolved`: a permit names the class but limits objects, and the object could not be told. */
export type Fit = 'match' | 'unresolved' | 'not-granted'

/** What one layer says about one access; `rowsMax` is absent where the rows have no limit. */
export interface LayerFit {
  readonly fit: Fit
  readonly rowsMax: number
}

interface CompiledPermit {
  readonly effects: number
  readonly limits: readonly Limit[]
  /** Infinity where there is no limit. */
  readonly rowsMax: number
}

interface Limit {
  readonly dimension: (typeof DIMENSIONS)[number]
  readonly globs: readonly NameTest[]
}

const layers = new WeakMap<GrantLayer, CompiledLayer>()
/** A gateway has fewer connections; the bound only guards against a caller that makes names up. */
const connectionsMax = 1000

/** A layer in a form that decides quickly. Layers never change, so each is compiled once. */
export class CompiledLayer {
  readonly #layer: GrantLayer
  readonly #cidrs: readonly Cidr[] | undefined
  readonly #hours: Hours | undefined
  /** Hours that can't be read never hold. */
  readonly #areHoursBroken: boolean
  readonly #permits = new Map<string, readonly CompiledPermit[]>()

  static of(layer: GrantLayer): CompiledLayer {
    let compiled = layers.get(layer)
    if (compiled === undefined) {
      compiled = new CompiledLayer(layer)
      layers.set(layer, compiled)
    }
    return compiled
  }

  private constructor(layer: GrantLayer) {
    this.#layer = layer
    const hours = layer.window?.hours === undefined ? undefined : parseHours(layer.window.hours)
    this.#areHoursBroken = typeof hours === 'string'
    this.#hours = typeof hours === 'string' ? undefined : hours
    this.#cidrs = layer.client?.cidr?.flatMap((text) => {
      const cidr = parseCidr(text)
      return typeof cidr === 'string' ? [] : [cidr]
    })
  }

  /** Written so that a clock that is no number is outside of every window. */
  isWithinWindow(nowMs: number): boolean {
    const { window } = this.#layer
    if (window === undefined) return true
    if (window.afterMs !== undefined && !(nowMs >= window.afterMs)) return false
    if (window.beforeMs !== undefined && !(nowMs < window.beforeMs)) return false
    if (this.#areHoursBroken) return false
    return this.#hours === undefined || hoursHold(this.#hours, nowMs)
  }

  /** The first instant at which a window that holds now may hold no more. */
  windowHoldsUntil(nowMs: number): number {
    const before = this.#layer.window?.beforeMs ?? Infinity
    return this.#hours === undefined ? before : Math.min(before, hoursHoldUntil(nowMs))
  }

  holdsSource(source: string): boolean {
    if (this.#cidrs === undefined) return true
    const address = addressOf(source)
    return address !== undefined && this.#cidrs.some((cidr) => cidrHolds(cidr, address))
  }

  holdsLevel(level: number): boolean {
    const minLevel = this.#layer.client?.minLevel
    return minLevel === undefined || level >= minLevel
  }

  hasConnection(connection: string): boolean {
    return this.#permitsFor(connection).length > 0
  }

  /** The best that the permits say of an access, with the largest row limit among those that match. */
  judge(connection: string, access: Access, database: string): LayerFit {
    const bit = effectBit(access.effect)
    let fit: Fit = 'not-granted'
    let rowsMax = 0
    for (const permit of this.#permitsFor(connection)) {
      if ((permit.effects & bit) === 0) continue
      const found = fitLimits(permit.limits, access, database)
      if (found === 'match') {
        if (permit.rowsMax === Infinity) return freely
        fit = found
        rowsMax = Math.max(rowsMax, permit.rowsMax)
      } else if (found === 'unresolved' && fit !== 'match') fit = found
    }
    return fit === 'match' ? { fit, rowsMax } : fit === 'unresolved' ? unresolved : notGranted
  }

  #permitsFor(connection: string): readonly CompiledPermit[] {
    const known = this.#permits.get(connection)
    if (known !== undefined) return known
    const made = this.#layer.permits
      .filter((permit) => matchesAny(permit.connections, connection))
      .flatMap(compilePermit)
    if (this.#permits.size >= connectionsMax) this.#permits.clear()
    this.#permits.set(connection, made)
    return made
  }
}

const freely: LayerFit = { fit: 'match', rowsMax: Infinity }
const unresolved: LayerFit = { fit: 'unresolved', rowsMax: 0 }
const notGranted: LayerFit = { fit: 'not-granted', rowsMax: 0 }

/** A permit with a limit that this version can't read permits nothing. */
function compilePermit(permit: Permission): readonly CompiledPermit[] {
  const { rowsMax } = permit
  if (rowsMax !== undefined && rowsProblem(rowsMax) !== undefined) return []
  const limits: Limit[] = []
  for (const [name, globs] of Object.entries(permit.dimensions)) {
    const dimension = DIMENSIONS.find((known) => known === name)
    if (dimension === undefined) return []
    limits.push({ dimension, globs: globs.map(starGlob) })
  }
  return [{ effects: effectBits(permit.classes), limits, rowsMax: rowsMax ?? Infinity }]
}

function fitLimits(limits: readonly Limit[], access: Access, database: string): Fit {
  let fit: Fit = 'match'
  for (const { dimension, globs } of limits) {
    let name: string | undefined = database
    if (dimension !== 'db') {
      if (touchesNothing(access)) continue
      name = objectPart(access, dimension)
    }
    if (name === undefined) fit = 'unresolved'
    else if (!holdsAny(globs, name)) return 'not-granted'
  }
  return fit
}

/** `begin`, `show`, `select 1`. What changes, runs or sends something that has no name here (`drop owned`, a file of the server) may well touch what a limit leaves out. */
function touchesNothing({ effect, object, resolved }: Access): boolean {
  return object === undefined && resolved && (effect === 'read' || effect === 'explain')
}

/** A name of one part is none of a table: it is a role, a database or a schema. */
function objectPart(
  { object, resolved }: Access,
  dimension: 'schema' | 'table',
): string | undefined {
  if (!resolved || object === undefined || object.length < 2) return undefined
  return object.at(dimension === 'table' ? -1 : -2)
}

function holdsAny(globs: readonly NameTest[], name: string): boolean {
  for (const test of globs) if (test(name)) return true
  return false
}

/** The few addresses that sessions come from. */
const addresses = new Map<string, Address | undefined>()
const addressesMax = 1000

function addressOf(source: string): Address | undefined {
  if (addresses.has(source)) return addresses.get(source)
  if (addresses.size >= addressesMax) addresses.clear()
  const address = parseAddress(source)
  addresses.set(source, address)
  return address
}
