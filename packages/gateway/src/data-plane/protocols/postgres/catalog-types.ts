import { firstUserOid, push, type Ask } from './catalog-rows.ts'

const typesSql = `select t.oid, t.typname, t.typbasetype, t.typelem, t.typrelid, coalesce(r.rngsubtype, m.rngsubtype, 0)
  from pg_type t
  left join pg_range r on r.rngtypid = t.oid
  left join pg_range m on m.rngmultitypid = t.oid
  where t.oid >= ${firstUserOid}`
/** Servers before 14 have no multiranges. */
const oldTypesSql = `select t.oid, t.typname, t.typbasetype, t.typelem, t.typrelid, coalesce(r.rngsubtype, 0)
  from pg_type t left join pg_range r on r.rngtypid = t.oid where t.oid >= ${firstUserOid}`
const fieldsSql = `select attrelid, atttypid from pg_attribute
  where atttypid >= ${firstUserOid} and attnum > 0 and not attisdropped`
const checksSql = `select contypid, pg_get_expr(conbin, 0) from pg_constraint where contypid <> 0 and contype = 'c'`

interface TypeRow {
  readonly name: string
  /** The types that a value of this one is made of: a domain's base, elements, bounds. */
  readonly parts: readonly number[]
  /** Of a composite type, or the rows of a table; 0 for others. */
  readonly relation: number
}

/** Checks of domains, by the types whose values they guard. */
export class TypeChecks {
  readonly #types: ReadonlyMap<number, TypeRow>
  readonly #fields: ReadonlyMap<number, readonly number[]>
  readonly #checks: ReadonlyMap<number, readonly string[]>
  readonly #byName = new Map<string, number[]>()

  constructor(
    types: ReadonlyMap<number, TypeRow>,
    fields: ReadonlyMap<number, readonly number[]>,
    checks: ReadonlyMap<number, readonly string[]>,
  ) {
    this.#types = types
    this.#fields = fields
    this.#checks = checks
    for (const [oid, { name }] of types) push(this.#byName, name, oid)
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

  #below(oids: readonly number[]): readonly string[] {
    const found = new Set(oids)
    for (const oid of found) {
      const type = this.#types.get(oid)
      for (const part of type?.parts ?? []) if (part >= firstUserOid) found.add(part)
      for (const field of this.#fields.get(type?.relation ?? 0) ?? []) found.add(field)
    }
    return [...found].flatMap((oid) => this.#checks.get(oid) ?? [])
  }
}

/** Reads the types and their checks. The session's search path must be `pg_catalog` alone. */
export async function readTypeChecks(ask: Ask, serverVersion: number): Promise<TypeChecks> {
  const types = new Map<number, TypeRow>()
  for (const row of await ask(serverVersion < 140_000 ? oldTypesSql : typesSql)) {
    const [oid = 0, base = 0, element = 0, relation = 0, bound = 0] = [0, 2, 3, 4, 5].map((at) =>
      Number(row[at]),
    )
    types.set(oid, { name: row[1] ?? '', parts: [base, element, bound], relation })
  }
  const fields = new Map<number, number[]>()
  for (const [relation, type] of await ask(fieldsSql)) push(fields, Number(relation), Number(type))
  const checks = new Map<number, string[]>()
  for (const [type, condition = ''] of await ask(checksSql)) {
    if (condition !== '') push(checks, Number(type), `SELECT ${condition}`)
  }
  return new TypeChecks(types, fields, checks)
}
