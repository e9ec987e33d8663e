import type { PgTypeInfo } from '@sallyport/core'
import { firstUserOid, push, type Ask } from './catalog-rows.ts'

const columnsSql = `t.oid, t.typname, t.typbasetype, t.typelem, t.typrelid, t.typtype, t.typtypmod, t.typlen,
    t.typsend in ('textsend'::regproc, 'varcharsend'::regproc) or (t.typname = 'citext' and t.typtype = 'b'),
    coalesce(r.rngsubtype, 0)`
const typesSql = `select ${columnsSql}, coalesce(m.rngsubtype, 0)
  from pg_type t
  left join pg_range r on r.rngtypid = t.oid
  left join pg_range m on m.rngmultitypid = t.oid
  where t.oid >= ${firstUserOid}`
/** Servers before 14 have no multiranges. */
const oldTypesSql = `select ${columnsSql}, 0
  from pg_type t left join pg_range r on r.rngtypid = t.oid where t.oid >= ${firstUserOid}`
const labelsSql = 'select enumtypid, enumlabel from pg_enum order by enumtypid, enumsortorder'
const fieldsSql = `select attrelid, atttypid from pg_attribute
  where atttypid >= ${firstUserOid} and attnum > 0 and not attisdropped`
const checksSql = `select contypid, pg_get_expr(conbin, 0) from pg_constraint where contypid <> 0 and contype = 'c'`

interface TypeRow {
  readonly name: string
  /** The types that a value of this one is made of: a domain's base, elements, bounds. */
  readonly parts: readonly number[]
  /** Of a composite type, or the rows of a table; 0 for others. */
  readonly relation: number
  readonly info: PgTypeInfo | undefined
}

/** The types that the database made itself: what they are, and the checks of domains that guard their values. */
export class CatalogTypes {
  readonly #types: ReadonlyMap<number, TypeRow>
  readonly #fields: ReadonlyMap<number, readonly number[]>
  readonly #checks: ReadonlyMap<number, readonly string[]>
  readonly #byName = new Map<string, number[]>()
  readonly #rowTypes = new Map<number, number>()

  constructor(
    types: ReadonlyMap<number, TypeRow>,
    fields: ReadonlyMap<number, readonly number[]>,
    checks: ReadonlyMap<number, readonly string[]>,
  ) {
    this.#types = types
    this.#fields = fields
    this.#checks = checks
    for (const [oid, { name, relation }] of types) {
      push(this.#byName, name, oid)
      if (relation !== 0) this.#rowTypes.set(relation, oid)
    }
  }

  /** What masks have to know of a type; undefined for the server's own, and for those that have no mask. */
  info(typeOid: number): PgTypeInfo | undefined {
    return this.#types.get(typeOid)?.info
  }

  /** Each as a SELECT of its condition. */
  checksOf(typeOid: number): readonly string[] {
    if (typeOid < firstUserOid || this.#checks.size === 0) return []
    return this.#below([typeOid])
  }

  /** Of all types of that name, in any schema. */
  checksNamed(name: string): readonly string[] {
    if (this.#checks.size === 0) return []
    return this.#below(this.#byName.get(name) ?? [])
  }

  /** Of the columns of a relation. */
  checksOfRelation(relation: number): readonly string[] {
    if (this.#checks.size === 0) return []
    return this.#below(this.#fields.get(relation) ?? [])
  }

  /** Whether a value of the type can come from a row of the relations, or from a value of the named types. The server's own types are everywhere. */
  mayHold(type: number, relations: readonly number[], names: Iterable<string>): boolean {
    if (type < firstUserOid) return true
    const start = [...names].flatMap((name) => this.#byName.get(name) ?? [])
    for (const relation of relations) {
      start.push(...(this.#fields.get(relation) ?? []), this.#rowTypes.get(relation) ?? 0)
    }
    return this.#reach(start).has(type)
  }

  #below(oids: readonly number[]): readonly string[] {
    return [...this.#reach(oids)].flatMap((oid) => this.#checks.get(oid) ?? [])
  }

  /** The types, and all that their values are made of. */
  #reach(oids: readonly number[]): ReadonlySet<number> {
    const found = new Set(oids)
    for (const oid of found) {
      const type = this.#types.get(oid)
      for (const part of type?.parts ?? []) if (part >= firstUserOid) found.add(part)
      for (const field of this.#fields.get(type?.relation ?? 0) ?? []) found.add(field)
    }
    return found
  }
}

/** Reads the types and their checks. The session's search path must be `pg_catalog` alone. */
export async function readTypes(ask: Ask, serverVersion: number): Promise<CatalogTypes> {
  const labels = new Map<number, string[]>()
  for (const [type, label = ''] of await ask(labelsSql)) push(labels, Number(type), label)
  const types = new Map<number, TypeRow>()
  for (const row of await ask(serverVersion < 140_000 ? oldTypesSql : typesSql)) {
    types.set(Number(row[0]), typeOf(row, labels.get(Number(row[0])) ?? []))
  }
  const fields = new Map<number, number[]>()
  for (const [relation, type] of await ask(fieldsSql)) push(fields, Number(relation), Number(type))
  const checks = new Map<number, string[]>()
  for (const [type, condition = ''] of await ask(checksSql)) {
    if (condition !== '') push(checks, Number(type), `SELECT ${condition}`)
  }
  return new CatalogTypes(types, fields, checks)
}

function typeOf(row: readonly string[], labels: readonly string[]): TypeRow {
  const [, name = '', , , , kind, , , isText] = row
  const [base = 0, element = 0, relation = 0, typmod = 0, length = 0] = [2, 3, 4, 6, 7].map((at) =>
    Number(row[at]),
  )
  const [subtype = 0, part = 0] = [9, 10].map((at) => Number(row[at]))
  const info = (): PgTypeInfo | undefined => {
    if (kind === 'e') return { kind: 'enum', labels }
    if (kind === 'd') return { kind: 'domain', base, typmod }
    if (kind === 'r') return { kind: 'range', subtype }
    if (kind === 'm') return { kind: 'multirange', subtype: part }
    // A type of fixed length that has elements is no array: a point is one.
    if (element !== 0 && length === -1) return { kind: 'array', element }
    return isText === 't' ? { kind: 'text' } : undefined
  }
  return { name, parts: [base, element, subtype, part], relation, info: info() }
}
