import type { InferenceMode, MaskRule } from '@sallyport/core'
import { readingBuiltins } from '../classify/builtin-functions.ts'
import { SqlParser } from '../classify/sql-parser.ts'
import { FormerNames } from '../former-names.ts'
import { noLineageRows, type LineageRows, type OwnFunction } from './lineage-rows.ts'
import { MaskedDatabases, type MaskedDatabase } from './masked-database.ts'
import { LineageDatabase } from './session-catalog.ts'

const text = 25
const int4 = 23

/** A table of a database that exists in a test alone: `name type`, by place. */
function table(oid: number, name: string, kind: string, ...columns: string[]) {
  const entries = columns.map((column, index) => {
    const [columnName = '', type] = column.split(' ')
    const typeOid = type === 'int' ? int4 : text
    return [index + 1, { name: columnName, typeOid, typmod: -1 }] as const
  })
  return [oid, { oid, schema: 'public', name, kind, columns: new Map(entries) }] as const
}

function sqlFunction(oid: number, name: string, definition: string): OwnFunction {
  const facts = { volatility: 's', language: 'sql', returnsSet: false } as const
  return { oid, schema: 'public', name, ...facts, definition }
}

const relations = new Map([
  table(
    1,
    'people',
    'r',
    'id int',
    'name text',
    'email text',
    'salary int',
    'host text',
    'extra text',
  ),
  table(2, 'orders', 'r', 'id int', 'person int', 'item text', 'email text'),
  table(3, 'contacts', 'v', 'id int', 'contact text', 'loud text'),
  table(4, 'parent', 'r', 'id int', 'secret text'),
  table(5, 'child', 'r', 'id int', 'secret text'),
])

const rows: LineageRows = {
  ...noLineageRows,
  definitions: new Map([
    [
      3,
      'SELECT people.id, people.email AS contact, upper(people.email) AS loud FROM public.people',
    ],
  ]),
  generated: new Map([[1, new Map([[5, "split_part(email, '@', 2)"]])]]),
  constraints: new Map([[1, [{ kind: 'unique', name: 'people_email_key', attributes: [3] }]]]),
  parents: new Map([[5, [4]]]),
  children: new Map([[4, [5]]]),
  referrers: new Map([
    [
      2,
      [
        {
          relation: 5,
          attributes: [2],
          keys: [3],
          actions: { delete: undefined, update: undefined },
        },
      ],
    ],
  ]),
  triggers: new Map([
    [
      2,
      [
        {
          name: 'copies',
          events: ['delete'],
          function: 'public.copies',
          language: 'plpgsql',
          source: 'begin insert into scratch select email from people; return old; end',
        },
      ],
    ],
  ]),
  functions: [
    sqlFunction(
      10,
      'first_email',
      'CREATE FUNCTION public.first_email() RETURNS text LANGUAGE sql AS $$select email from people$$',
    ),
    sqlFunction(
      11,
      'same',
      'CREATE FUNCTION public.same(a text) RETURNS text LANGUAGE sql AS $$select a$$',
    ),
    sqlFunction(
      12,
      'numbered',
      'CREATE FUNCTION public.numbered(text) RETURNS text LANGUAGE sql AS $a$select $1$a$',
    ),
  ],
  builtins: new Map(
    [...readingBuiltins, 'random'].map((name) => [
      name,
      {
        isVolatile: name === 'random',
        returnsSet: /^(?:generate_series|unnest)$/.test(name),
        isAggregate: /^(?:count|max|min|sum|string_agg)$/.test(name),
        returns: /^(?:upper|md5|concat)$/.test(name) ? 'S' : 'SN',
      },
    ]),
  ),
}

const rule = (columns: string[], over: Partial<MaskRule>): MaskRule => ({
  rule: 'p/r',
  columns: columns.map((column) => column.split('.')),
  detect: [],
  with: 'partial',
  unresolved: 'mask',
  ...over,
})

export const maskRules: readonly MaskRule[] = [
  rule(['people.email', 'child.secret'], {}),
  rule(['people.salary'], { with: 'redact' }),
]

const parser = await SqlParser.create()

/** That database under masks on `people.email`, `people.salary` and `child.secret`. */
export function fixtureDatabase(
  disabledRules?: ReadonlySet<string>,
  inference: InferenceMode = 'block',
): MaskedDatabase {
  const parse = (sql: string) => {
    const parsed = parser.parse(sql)
    return parsed.kind === 'tree' ? parsed.statements : undefined
  }
  const database = new LineageDatabase({
    relations,
    former: FormerNames.none,
    searchPath: ['pg_catalog', 'public'],
    lineage: rows,
  })
  const session = { isPathKnown: true, trustedFunctions: new Set<string>(), unsettled: undefined }
  return new MaskedDatabases(parse, disabledRules).of(database, session, maskRules, inference)
}
