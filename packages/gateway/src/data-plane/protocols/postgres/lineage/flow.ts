import type { MaskRule } from '@sallyport/core'

/** A column that masks name, or one of the server's own that shows values of others. One object per column and mask set. */
export interface MaskedColumn {
  readonly relation: number
  readonly name: readonly [schema: string, table: string, column: string]
  readonly typeOid: number
  readonly rules: readonly MaskRule[]
  /** The mask hides that a value is NULL too, so whether it is must not be told either. */
  readonly hidesNull: boolean
  /** It may not decide anything: its rules block inference. */
  readonly isBlocked: boolean
}

/** How a value came from its column: `public.orders.total`, `view public.v`, `alias x`. Newest step first. */
export interface Path {
  readonly step: string
  readonly before: Path | undefined
}

/** What a value can depend on. */
export interface Flow {
  /** The masked columns that can reach the value, each with one way it takes. */
  readonly sources: ReadonlyMap<MaskedColumn, Path>
  /** Each value is one of the sources' values, unchanged, or takes nothing from them. */
  readonly isExact: boolean
  /** Computing it may end in an error, and stored values decide whether it does. */
  readonly fails: boolean
  /** Computing it does something that others notice: it takes time, or changes what is outside of the statement. */
  readonly acts: boolean
}

const noSources: ReadonlyMap<MaskedColumn, Path> = new Map()

/** Takes nothing from a masked column. */
export const clean: Flow = Object.freeze({
  sources: noSources,
  isExact: true,
  fails: false,
  acts: false,
})

export function isTainted(flow: Flow): boolean {
  return flow.sources.size > 0
}

/** The masked column itself. */
export function columnFlow(column: MaskedColumn): Flow {
  const path = { step: column.name.join('.'), before: undefined }
  return { sources: new Map([[column, path]]), isExact: true, fails: false, acts: false }
}

/** A value computed from all of these. */
export function derived(flows: readonly Flow[]): Flow {
  const joined = either(flows)
  return joined.sources.size === 0 ? joined : { ...joined, isExact: false }
}

/** A value that is one of these, as it is. */
export function either(flows: readonly Flow[]): Flow {
  const [first, ...rest] = flows
  if (first === undefined) return clean
  if (rest.length === 0) return first
  let sources = first.sources
  let { isExact, fails, acts } = first
  for (const flow of rest) {
    sources = union(sources, flow.sources)
    isExact &&= flow.isExact
    fails ||= flow.fails
    acts ||= flow.acts
  }
  return { sources, isExact, fails, acts }
}

export function inexact(flow: Flow): Flow {
  return flow.isExact && flow.sources.size > 0 ? { ...flow, isExact: false } : flow
}

export function failing(flow: Flow): Flow {
  return flow.fails ? flow : { ...flow, fails: true }
}

export function acting(flow: Flow): Flow {
  return flow.acts ? flow : { ...flow, acts: true }
}

/** The same, which fails and acts where either does. */
export function marked(flow: Flow, by: Pick<Flow, 'fails' | 'acts'>): Flow {
  let result = flow
  if (by.fails) result = failing(result)
  if (by.acts) result = acting(result)
  return result
}

/** Adds a step to the way of each source. */
export function along(flow: Flow, step: string): Flow {
  if (flow.sources.size === 0) return flow
  const sources = new Map<MaskedColumn, Path>()
  for (const [column, path] of flow.sources) sources.set(column, { step, before: path })
  return { ...flow, sources }
}

/** `public.orders.total → view public.v → alias x` */
export function printPath(path: Path): string {
  const steps: string[] = []
  for (let at: Path | undefined = path; at !== undefined; at = at.before) steps.unshift(at.step)
  return steps.join(' → ')
}

function union(
  a: ReadonlyMap<MaskedColumn, Path>,
  b: ReadonlyMap<MaskedColumn, Path>,
): ReadonlyMap<MaskedColumn, Path> {
  if (b.size === 0) return a
  if (a.size === 0) return b
  return new Map([...b, ...a])
}
