import type { Facts, Principal, PolicyOutcome, RuleConnection, RuleSubject } from '@sallyport/core'
import type { StandInTable } from './stand-in-database.ts'

/** Who asks, where and when. What a file does not say is a person at the root who asks `target` for something. */
export interface Given {
  readonly connection: RuleConnection
  readonly root: Principal
  readonly agent: { readonly name: string; readonly depth: number; readonly level: number }
  readonly client?: { readonly ip: string; readonly app: string }
  /** Absent: a rule that asks for the time can't be evaluated. */
  readonly now?: Date
  readonly inTransaction: boolean
  /** Absent: names stay as they are written, and masks are not followed. */
  readonly tables?: readonly StandInTable[]
  /** `schema.name` of functions that the operator vouches for. */
  readonly trustedFunctions: readonly string[]
}

/** One line of a PolicyTest: what is asked, and what has to come of it. */
export interface PolicyTest {
  readonly name: string
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly subject: RuleSubject
  readonly given: Given
  /** The text of a command, for the real classifier. */
  readonly run?: string
  /** By path; `null` makes a fact unknown. They stand over those that are made of `run` and `given`. */
  readonly facts: Readonly<Record<string, unknown>>
  readonly want: PolicyOutcome['effect']
  /** The rules that have to decide, by name. */
  readonly rules?: readonly string[]
  /** The columns that have to come masked. */
  readonly masks?: readonly string[]
}

/** Puts facts that a test states over those that were made. */
export function withFacts(facts: Facts, stated: Readonly<Record<string, unknown>>): Facts {
  const all: Record<string, unknown> = { ...facts }
  for (const [path, value] of Object.entries(stated)) put(all, path.split('.'), value)
  return all
}

function put(group: Record<string, unknown>, [name = '', ...rest]: string[], value: unknown): void {
  if (rest.length > 0) {
    const inner: unknown = group[name]
    const copy = typeof inner === 'object' && inner !== null ? { ...inner } : {}
    group[name] = copy
    put(copy, rest, value)
  } else if (value === null) {
    Reflect.deleteProperty(group, name)
  } else group[name] = value
}
