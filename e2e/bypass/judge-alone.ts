import type { DecisionId, MaskRule } from '@sallyport/core'
import {
  readCatalog,
  type Catalog,
} from '../../packages/gateway/src/data-plane/protocols/postgres/catalog.ts'
import { SqlParser } from '../../packages/gateway/src/data-plane/protocols/postgres/classify/sql-parser.ts'
import { lineageRefusal } from '../../packages/gateway/src/data-plane/protocols/postgres/lineage/lineage-refusal.ts'
import type { Lineage } from '../../packages/gateway/src/data-plane/protocols/postgres/lineage/lineage.ts'
import type { MaskSet } from '../../packages/gateway/src/data-plane/protocols/postgres/lineage/mask-set.ts'
import { outcomeOf } from '../../packages/gateway/src/data-plane/protocols/postgres/lineage/column-outcome.ts'
import {
  MaskedDatabases,
  type MaskedDatabase,
} from '../../packages/gateway/src/data-plane/protocols/postgres/lineage/masked-database.ts'
import type { LineageDatabase } from '../../packages/gateway/src/data-plane/protocols/postgres/lineage/session-catalog.ts'
import type { Shop } from '../../fuzz/shop/start-shop.ts'

/** What lineage says of a text: by statement, the refusal, or what becomes of each column. */
export type Verdicts = readonly (readonly string[])[]

/** What the gateway knows of the shop's first world. */
export async function shopCatalog(shop: Shop): Promise<Catalog> {
  const { port } = shop.gateway.postgres
  return await readCatalog(
    {
      name: 'shop',
      type: 'postgres',
      labels: {},
      target: { host: '127.0.0.1', port },
      login: { user: 'app', password: 'app-password' },
      database: 'shop_a',
      tls: { mode: 'off' },
      notices: 'auto',
      responses: 'none',
      trustedFunctions: [],
      masking: 'lineage',
      holdMaxMs: 86_400_000,
      holdInTransactionMaxMs: 60_000,
    },
    'shop_a',
    1,
  )
}

/** Asks lineage about texts, outside of any session, with some of its rules switched off. */
export class LoneJudge {
  readonly #database: LineageDatabase
  readonly #parser: SqlParser
  readonly #masks: readonly MaskRule[]

  private constructor(database: LineageDatabase, parser: SqlParser, masks: readonly MaskRule[]) {
    this.#database = database
    this.#parser = parser
    this.#masks = masks
  }

  static async open(shop: Shop, masks: readonly MaskRule[]): Promise<LoneJudge> {
    const catalog = await shopCatalog(shop)
    return new LoneJudge(catalog.lineage, await SqlParser.create(), masks)
  }

  /** A judge that has its memory for one set of switched-off rules. */
  without(...rules: readonly string[]): (text: string) => Verdicts | undefined {
    const databases = new MaskedDatabases((text) => {
      const parsed = this.#parser.parse(text)
      return parsed.kind === 'tree' ? parsed.statements : undefined
    }, new Set(rules))
    const session = { isPathKnown: true, trustedFunctions: new Set<string>(), unsettled: undefined }
    const database = databases.of(this.#database, session, this.#masks, 'block')
    const lax = databases.of(
      this.#database,
      session,
      this.#masks.map((mask) => ({ ...mask, inference: 'allow' })),
      'block',
    )
    return (text) => both(verdictsOf(text, database), verdictsOf(text, lax))
  }
}

function both(one: Verdicts | undefined, other: Verdicts | undefined): Verdicts | undefined {
  return one === undefined || other === undefined ? undefined : [...one, ...other]
}

function verdictsOf(text: string, database: MaskedDatabase): Verdicts | undefined {
  return database
    .statements(text)
    ?.flatMap((lineage) => [
      verdictOf(lineage, database.masks),
      ...(lineage.prepared === undefined ? [] : [verdictOf(lineage.prepared, database.masks)]),
    ])
}

/** True where less is refused or masked than before. */
export function isWeaker(now: Verdicts | undefined, before: Verdicts | undefined): boolean {
  if (now === undefined || before === undefined) return false
  return before.some((was, at) => {
    const is = now[at] ?? []
    if (isRefused(was)) return !isRefused(is)
    return !isRefused(is) && was.some((kind, index) => strength(is[index]) < strength(kind))
  })
}

function isRefused(verdict: readonly string[]): boolean {
  return verdict[0]?.startsWith('SP_') === true
}

function strength(kind: string | undefined): number {
  return ['clean', 'direct', 'derived'].indexOf(kind ?? 'clean')
}

function verdictOf(lineage: Lineage, masks: MaskSet): string[] {
  const refusal = lineageRefusal(lineage, {
    masks,
    connection: 'shop',
    decision: 'd_test' as DecisionId,
    inference: 'block',
    parameters: [],
    mayLookUp: () => false,
  })
  if (refusal !== undefined) return [refusal.code]
  const isResolved = lineage.unresolved.length === 0
  const flows = lineage.columns?.map(({ flow }) => flow) ?? []
  const all = lineage.others === undefined ? flows : [...flows, lineage.others]
  return all.map((flow) => outcomeOf(flow, isResolved, masks).kind)
}
