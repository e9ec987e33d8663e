import type { GrantLayer, Permission } from '../chain.ts'
import { EFFECT_CLASSES } from '../command.ts'
import { starGlob } from '../policy/star-glob.ts'
import { canonicalClasses } from './effect-bits.ts'
import { suggest } from './suggest.ts'

/** What a permit for PostgreSQL may limit, in the order in which it is printed. */
export const DIMENSIONS = ['db', 'schema', 'table'] as const

/** Dimensions of protocols that this version does not serve: a grant that names one would limit nothing. */
const foreignDimensions: Readonly<Record<string, string>> = {
  collection: 'MongoDB',
  key: 'Redis',
  command: 'Redis',
  ns: 'Kubernetes',
  kind: 'Kubernetes',
  name: 'Kubernetes',
  verb: 'Kubernetes',
  login: 'SSH and RDP',
  path: 'SSH and HTTP',
  method: 'HTTP',
  tool: 'MCP',
  channel: 'RDP',
}

/** Names of objects are at most 63 bytes in PostgreSQL; this is room for globs, and a bound for stored grants. */
const globLengthMax = 256
const connectionForm = /^[A-Za-z0-9*][A-Za-z0-9_.*-]*$/u
/** Letters that a person who reads a grant can't see. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/** Says what is wrong with the name of a dimension; undefined where nothing is. */
export function dimensionProblem(name: string): string | undefined {
  if ((DIMENSIONS as readonly string[]).includes(name)) return undefined
  if (Object.hasOwn(foreignDimensions, name)) {
    return `"${name}" is a dimension of ${foreignDimensions[name]}, which this version does not serve yet; PostgreSQL has ${DIMENSIONS.join(', ')}`
  }
  return `"${name}" is not one of ${DIMENSIONS.join(', ')}${suggest(name, DIMENSIONS)}`
}

/** Says what is wrong with a pattern of names of objects; undefined where nothing is. */
export function globProblem(glob: string): string | undefined {
  if (glob === '') return 'a pattern is empty'
  if (glob.length > globLengthMax) return `a pattern is longer than ${globLengthMax} characters`
  return invisible.test(glob) ? 'a pattern has characters that cannot be seen' : undefined
}

/** Says what is wrong with the name or glob of a connection; undefined where nothing is. */
export function connectionProblem(connection: string): string | undefined {
  if (connection.length <= globLengthMax && connectionForm.test(connection)) return undefined
  return `"${connection.slice(0, globLengthMax)}" is not the name of a connection or a glob`
}

/** Says what is wrong with an effect class, `*` included; undefined where nothing is. */
export function classProblem(name: string, shorthands: readonly string[] = []): string | undefined {
  const known: readonly string[] = [...EFFECT_CLASSES, ...shorthands, '*']
  if (known.includes(name)) return undefined
  return `"${name}" is not one of ${known.join(', ')}${suggest(name, known)}`
}

/** Says what is wrong with a limit on rows. Zero is refused, since `0` reads as "no limit" elsewhere. */
export function rowsProblem(rows: number): string | undefined {
  return Number.isSafeInteger(rows) && rows >= 1 ? undefined : 'must be a whole number, at least 1'
}

/** A layer is judged for every access of every command, and compared at every spawn: what a person writes is far below these bounds. */
const permitsMax = 64
const globsMax = 512

/** Says that a layer is larger than a gateway judges with each command; undefined where it is not. To be asked of every layer that a caller made up. */
export function layerProblem({ permits }: GrantLayer): string | undefined {
  if (permits.length > permitsMax) return `a grant has at most ${permitsMax} permits`
  let globs = 0
  for (const { connections, dimensions } of permits) {
    globs += connections.length
    for (const list of Object.values(dimensions)) globs += list.length
  }
  return globs > globsMax ? `a grant has at most ${globsMax} names and patterns` : undefined
}

/** Whether every name that the glob matches is matched by one of the others. Exact for a single other one: no literal in a glob is a `*`, so a star of `glob` is only matched by a star. */
export function isGlobCovered(glob: string, others: readonly string[]): boolean {
  return others.some((other) => starGlob(other)(glob))
}

/** Sorted, without repetition and without globs that another one covers. */
export function canonicalGlobs(globs: readonly string[]): readonly string[] {
  const unique = [...new Set(globs.map((glob) => glob.replaceAll(/\*+/gu, '*')))]
  return unique
    .filter((glob) => !unique.some((other) => other !== glob && isGlobCovered(glob, [other])))
    .toSorted()
}

/** The one form of all permits that mean the same word by word; safe to compare and to store. */
export function canonicalPermission(permission: Permission): Permission {
  const { dimensions, rowsMax } = permission
  const names = Object.keys(dimensions).toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  return {
    connections: canonicalGlobs(permission.connections),
    classes: canonicalClasses(permission.classes),
    dimensions: Object.fromEntries(
      names.map((name) => [name, canonicalGlobs(dimensions[name] ?? [])]),
    ),
    ...(rowsMax === undefined ? {} : { rowsMax }),
  }
}

function rank(dimension: string): number {
  const at = (DIMENSIONS as readonly string[]).indexOf(dimension)
  return at === -1 ? DIMENSIONS.length : at
}
