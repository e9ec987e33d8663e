import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { SallyportError, type CoarseClass } from '@sallyport/core'
import { inBothStores } from '../../../adapters/both-stores.fixture.ts'
import type { Store } from '../../../ports/store.ts'
import { IndexRows } from '../index-rows.ts'
import { IndexedPart } from '../indexed-part.ts'
import { commandEntry, describedRows, endEntry, openedEntry } from '../search.fixture.ts'
import { parseQuery } from './parse-query.ts'
import { searchSessions } from './search-sessions.ts'

const dayMs = 86_400_000
const nowMs = Date.parse('2026-11-21T12:00:00Z')
/** Longer than any term is, and full of what SQL and patterns read. */
const evil = `'); drop table command; --`
const words = ['orders', 'customers', 'a_b', '50%', 'x\\y', evil, 'My Table', 'naïve', '"q"', 'a.b']

/** A command as the model knows it. */
interface Known {
  readonly session: number
  readonly seq: number
  readonly atMs: number
  readonly text: string
  readonly objects: readonly (readonly string[])[]
  readonly verdict: 'allow' | 'approve' | 'block'
  readonly rule: string | undefined
  readonly class: CoarseClass
  readonly verb: string
  readonly rows: number
  readonly bytes: number
  readonly columns: readonly string[]
  readonly mask: string | undefined
}

/** Sessions and their chains: every second one is a child of the one before. */
const chains = words.slice(0, 6).map((name, at) => {
  const root = { id: `a_root${Math.floor(at / 2)}`, name: `root-${words[at - (at % 2)] ?? ''}` }
  return at % 2 === 0 ? [root] : [root, { id: `a_child${at}`, name }]
})
const connectionOf = (session: number): string => ['shop', 'Shop_2', evil][session % 3] ?? ''
const levelOf = (session: number): number => session % 5

const word = fc.constantFrom(...words)
const knowns = fc.array(
  fc.record({
    session: fc.nat({ max: chains.length - 1 }),
    day: fc.nat({ max: 5 }),
    second: fc.nat({ max: 86_399 }),
    words: fc.array(word, { maxLength: 3 }),
    objects: fc.array(fc.array(word, { minLength: 1, maxLength: 3 }), { maxLength: 2 }),
    verdict: fc.constantFrom('allow', 'approve', 'block'),
    rule: fc.option(
      word.map((name) => `guard/${name}`),
      { nil: undefined },
    ),
    class: fc.constantFrom('read', 'write', 'ddl'),
    verb: fc.constantFrom('select', 'delete', 'drop'),
    rows: fc.constantFrom(0, 1, 99, 100, 1000, 5000),
    bytes: fc.constantFrom(0, 999, 100_000, 20_000_000),
    columns: fc.array(word, { maxLength: 2 }),
    mask: fc.option(
      word.map((name) => `pii/${name}`),
      { nil: undefined },
    ),
  }),
  { maxLength: 25 },
)

function known(drawn: typeof knowns extends fc.Arbitrary<infer T> ? T : never): Known[] {
  const seqs = new Map<number, number>()
  return drawn.map(({ day, second, words: some, ...rest }) => {
    const seq = (seqs.get(rest.session) ?? 0) + 1
    seqs.set(rest.session, seq)
    const ran = rest.verdict === 'allow'
    return {
      ...rest,
      seq,
      // One moment each, so that the order is the model's too.
      atMs: nowMs - day * dayMs - second * 1000 - rest.session * 50 - seq,
      text: some.join(' '),
      rows: ran ? rest.rows : 0,
      bytes: ran ? rest.bytes : 0,
      columns: ran && rest.rows > 0 ? rest.columns : [],
      mask: ran ? rest.mask : undefined,
    }
  })
}

async function fill(store: Store, commands: readonly Known[]): Promise<void> {
  const rows = new IndexRows(store)
  await rows.clear()
  const parts = chains.map((chain, session) => {
    const id = { session: `s_${session}`, part: `0-1-${session}`, worker: 0, run: 1 }
    const part = new IndexedPart(id, 0)
    const facts = { chain, connection: connectionOf(session), level: levelOf(session) }
    const own = commands.filter((each) => each.session === session)
    const entries = [
      { entry: openedEntry(id.session, facts), timeMs: nowMs - 10 * dayMs },
      ...own.flatMap((each) => entriesOf(each)),
    ]
    for (const [position, record] of entries.entries()) part.take({ ...record, position })
    const chunk = part.cut()
    assert.ok(chunk !== undefined)
    return { id, chunk }
  })
  await rows.write(parts)
}

function entriesOf(each: Known) {
  const { seq, atMs: timeMs, text, verdict: effect, rule, objects, verb } = each
  const facts = {
    effect,
    objects,
    verb,
    class: each.class,
    rules: rule === undefined ? [] : [rule],
  }
  const command = { entry: commandEntry(seq, text, facts), timeMs }
  if (effect !== 'allow') return [command]
  const { rows, bytes, columns, mask } = each
  const data = columns.length === 0 ? undefined : describedRows(...columns)
  const masked = {
    kind: 'masked',
    seq,
    rule: mask ?? '',
    values: mask === undefined ? 0 : 2,
  } as const
  return [
    command,
    { entry: masked, timeMs },
    { entry: endEntry(seq, { rows, bytes, data }), timeMs },
  ]
}

/** A condition in words, and what it means, said apart from the code under test. */
interface Condition {
  readonly text: string
  readonly holds: (command: Known) => boolean
}

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/gu, '\\$&')}"`
const lower = (text: string): string => text.toLowerCase()

const nameConditions: readonly {
  readonly field: string
  readonly of: (command: Known) => readonly string[]
}[] = [
  { field: 'tree', of: ({ session }) => chains[session]?.map(({ name }) => name) ?? [] },
  { field: 'agent', of: ({ session }) => [chains[session]?.at(-1)?.name ?? ''] },
  { field: 'root', of: ({ session }) => [chains[session]?.[0]?.name ?? ''] },
  { field: 'connection', of: ({ session }) => [connectionOf(session)] },
  { field: 'rule', of: ({ rule }) => (rule === undefined ? [] : [rule, rule.slice(6)]) },
  { field: 'verb', of: ({ verb }) => [verb] },
  {
    field: 'returned',
    of: ({ columns, mask }) => [...columns, ...(mask === undefined ? [] : [mask, mask.slice(4)])],
  },
  { field: 'masked', of: ({ mask }) => (mask === undefined ? [] : [mask, mask.slice(4)]) },
  {
    field: 'verdict',
    of: ({ verdict, mask }) => [
      { allow: 'allowed', approve: 'held', block: 'blocked' }[verdict],
      ...(mask === undefined ? [] : ['masked']),
    ],
  },
  { field: 'class', of: (command) => [command.class] },
]
const candidates: Readonly<Record<string, readonly string[]>> = {
  verdict: ['allowed', 'held', 'blocked', 'masked'],
  class: ['read', 'write', 'ddl'],
  verb: ['select', 'delete'],
  connection: ['shop', 'Shop_2', evil],
  root: words.map((each) => `root-${each}`),
}

const byName = fc
  .record({
    of: fc.constantFrom(...nameConditions),
    picks: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
    glob: fc.constantFrom('none', 'none', 'start', 'end'),
  })
  .map(({ of, picks, glob }): Condition => {
    const all = candidates[of.field] ?? words
    const values = picks.map((pick) => all[pick % all.length] ?? '')
    const written = values.map((value) => {
      if (glob === 'start') return `${quoted(value.slice(0, 2))}*`
      return glob === 'end' ? `*${quoted(value.slice(-2))}` : quoted(value)
    })
    return {
      text: `${of.field}:${written.join(',')}`,
      holds: (command) =>
        of.of(command).some((name) =>
          values.some((value) => {
            if (glob === 'start') return name.startsWith(value.slice(0, 2))
            return glob === 'end' ? name.endsWith(value.slice(-2)) : name === value
          }),
        ),
    }
  })

const byObject = fc
  .record({
    parts: fc.array(fc.option(word, { nil: undefined }), { minLength: 1, maxLength: 2 }),
    field: fc.constantFrom('table', 'object'),
  })
  .map(({ parts, field }): Condition => ({
    text: `${field}:${parts.map((part) => (part === undefined ? '*' : quoted(part))).join('.')}`,
    holds: ({ objects }) =>
      objects.some((name) => {
        const tail = name.slice(-parts.length)
        const fits = (part: string | undefined, at: number): boolean =>
          part === undefined || part === tail[at]
        return tail.length === parts.length && parts.every(fits)
      }),
  }))

const byText = fc
  .record({ piece: word, from: fc.nat({ max: 3 }) })
  .map(({ piece, from }): Condition => {
    const part = piece.slice(from % piece.length).toUpperCase()
    return {
      text: `text:${quoted(part)}`,
      holds: ({ text }) => lower(text).includes(lower(part)),
    }
  })

const byWord = fc
  .constantFrom('orders', 'ORDERS', 'a_b', '50', 'Table', 'b', 'drop', 'order')
  .map((whole): Condition => ({
    text: `word:${whole}`,
    holds: ({ text }) =>
      new RegExp(`(?<![\\p{L}\\p{N}_])${whole}(?![\\p{L}\\p{N}_])`, 'iu').test(text),
  }))

const comparisons = {
  '>': (left: number, right: number) => left > right,
  '>=': (left: number, right: number) => left >= right,
  '<': (left: number, right: number) => left < right,
  '<=': (left: number, right: number) => left <= right,
  '=': (left: number, right: number) => left === right,
  '': (left: number, right: number) => left === right,
}
const operator = fc.constantFrom(...(['>', '>=', '<', '<=', '=', ''] as const))
const bySize = fc.oneof(
  fc
    .record({ is: operator, than: fc.constantFrom(0, 1, 99, 100, 1000) })
    .map(({ is, than }): Condition => ({
      text: `rows:${is}${than}`,
      holds: ({ rows }) => comparisons[is](rows, than),
    })),
  fc
    .record({ is: operator, than: fc.constantFrom(0, 1, 100, 20_000) })
    .map(({ is, than }): Condition => ({
      text: `bytes:${is}${than}kB`,
      holds: ({ bytes }) => comparisons[is](bytes, than * 1000),
    })),
  fc.record({ is: operator, than: fc.nat({ max: 4 }) }).map(({ is, than }): Condition => ({
    text: `level:${is}L${than}`,
    holds: ({ session }) => comparisons[is](levelOf(session), than),
  })),
)

const byTime = fc
  .record({
    field: fc.constantFrom('since', 'until', 'at'),
    day: fc.nat({ max: 6 }),
    ago: fc.boolean(),
  })
  .map(({ field, day, ago }): Condition => {
    const fromMs = nowMs - day * dayMs - (ago ? 0 : nowMs % dayMs)
    const untilMs = fromMs + (ago ? 1000 : dayMs)
    const written = ago ? `${day * 24 || 1}h` : new Date(fromMs).toISOString().slice(0, 10)
    const shift = ago && day === 0 ? 3_600_000 : 0
    return {
      text: `${field}:${written}`,
      holds: ({ atMs }) => {
        if (field === 'since') return atMs >= fromMs - shift
        if (field === 'until') return atMs < fromMs - shift
        return atMs >= fromMs - shift && atMs < untilMs - shift
      },
    }
  })

const condition = fc
  .tuple(fc.oneof(byName, byObject, byText, byWord, bySize, byTime), fc.boolean())
  .map(([each, isNegated]): Condition =>
    isNegated ? { text: `-${each.text}`, holds: (command) => !each.holds(command) } : each,
  )

/** Sessions by their newest match, and the numbers of their newest five matches. */
function modelled(
  commands: readonly Known[],
  conditions: readonly Condition[],
): [string, number[]][] {
  const matches = commands
    .filter((command) => conditions.every((each) => each.holds(command)))
    .toSorted((a, b) => b.atMs - a.atMs)
  const sessions = new Map<string, number[]>()
  for (const { session, seq } of matches) {
    const id = `s_${session}`
    sessions.set(id, [...(sessions.get(id) ?? []), seq])
  }
  return [...sessions].map(([id, seqs]) => [id, seqs.slice(0, 5)])
}

/** All pages of a search, one after the other. */
async function searched(store: Store, query: string, limit: number): Promise<[string, number[]][]> {
  const found: [string, number[]][] = []
  for (let after: string | undefined; ;) {
    const request = { query, limit, ...(after === undefined ? {} : { after }) }
    const page = await searchSessions(store.db, request, nowMs)
    assert.ok(page.sessions.length <= limit)
    found.push(
      ...page.sessions.map((each): [string, number[]] => [
        each.id,
        each.matches.map(({ seq }) => seq),
      ]),
    )
    if (page.next === undefined) return found
    after = page.next
  }
}

function sharedTests(storeOf: () => Store): void {
  test('a search finds what it says, in order, page by page, and nothing else', async () => {
    const queries = fc.array(fc.array(condition, { maxLength: 3 }), { minLength: 8, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        knowns,
        queries,
        fc.integer({ min: 1, max: 4 }),
        async (drawn, all, limit) => {
          const commands = known(drawn)
          await fill(storeOf(), commands)
          for (const conditions of all) {
            const text = conditions.map((each) => each.text).join(' ')
            assert.deepEqual(
              await searched(storeOf(), text, limit),
              modelled(commands, conditions),
              text,
            )
          }
        },
      ),
      { numRuns: 25 },
    )
  })

  test('whatever a caller writes is searched for or refused, and changes nothing', async () => {
    await fill(storeOf(), known(fc.sample(knowns, { numRuns: 1, seed: 1 })[0] ?? []))
    const count = async () => {
      const { rows } = await sql<{ n: string }>`select count(*) as n from command`.execute(
        storeOf().db,
      )
      return rows[0]?.n
    }
    const before = await count()
    const field = fc.constantFrom(
      'tree',
      'text',
      'word',
      'table',
      'rows',
      'since',
      'verdict',
      'level',
    )
    const piece = fc.constantFrom(
      `'`,
      `"`,
      '\\',
      '%',
      '_',
      '*',
      ',',
      '.',
      ';--',
      '\0',
      '$1',
      '(',
      'a',
    )
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece).map((all) => all.join('')),
    )
    const hostile = fc.tuple(field, value).map(([name, text]) => `${name}:${text}`)
    await fc.assert(
      fc.asyncProperty(fc.oneof(hostile, fc.string()), async (query) => {
        try {
          await searchSessions(storeOf().db, { query, limit: 5 }, nowMs)
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error))
          assert.equal(error.code, 'SP_QUERY_INVALID')
        }
      }),
      { numRuns: 300 },
    )
    assert.equal(await count(), before)
  })

  test('a place that no answer gave is refused', async () => {
    for (const after of ['', 'x', 'W10', Buffer.from('[1,"a","b",1e99]').toString('base64url')])
      await assert.rejects(
        searchSessions(storeOf().db, { query: '', limit: 5, after }, nowMs),
        /the place to go on from/,
      )
  })

  test('an agent is found by the beginning of its id, and a root by its principal', async () => {
    await fill(
      storeOf(),
      known([
        { ...(fc.sample(knowns, { numRuns: 20, seed: 3 }).flat()[0] ?? assert.fail()), session: 3 },
      ]),
    )
    const found = async (query: string) => (await searched(storeOf(), query, 5)).map(([id]) => id)
    assert.deepEqual(await found('tree:a_root1'), ['s_3'])
    assert.deepEqual(await found('tree:A_ROO'), ['s_3'])
    assert.deepEqual(await found('agent:a_root1'), [])
    assert.deepEqual(await found('agent:a_chi'), ['s_3'])
    assert.deepEqual(await found('tree:a_root2'), [])
  })
}

inBothStores('searching', sharedTests)

suite('a search that cannot be read', () => {
  const refused = (query: string): string => {
    try {
      parseQuery(query, nowMs)
    } catch (error) {
      assert.ok(error instanceof SallyportError)
      assert.equal(error.code, 'SP_QUERY_INVALID')
      return error.message
    }
    return assert.fail(`${query} was read`)
  }
  const cases: readonly (readonly [query: string, message: string])[] = [
    [
      'verdict:blocked tre:a_5',
      'there is no term "tre" (did you mean "tree"?)\n  verdict:blocked tre:a_5\n                  ^^^',
    ],
    [
      'orders',
      'a term reads field:value: write text:orders to look for it in commands\n  orders\n  ^^^^^^',
    ],
    [
      'verdict:bloked',
      'verdict: takes allowed, held, blocked, approved, denied, expired, withdrawn, pending, masked, would-allow, would-mask, would-hold, would-block (did you mean "blocked"?)\n  verdict:bloked\n          ^^^^^^',
    ],
    ['text:"never ends', 'this quote has no end\n  text:"never ends\n       ^'],
    ['tree:', 'a value is missing here\n  tree:\n       ^'],
    ['tree:a,', 'a value is missing here\n  tree:a,\n         ^'],
    ['rows:>many', 'rows: takes a number, such as rows:>1000\n  rows:>many\n        ^^^^'],
    ['bytes:>10XB', 'bytes: takes a size, such as bytes:>10MB\n  bytes:>10XB\n         ^^^^'],
    ['level:L9', 'level: takes L0 to L4, such as level:<L2\n  level:L9\n        ^^'],
    [
      'since:yesterday',
      'since: takes a time such as 7d, 2026-11-20 or 2026-11-20T14:00\n  since:yesterday\n        ^^^^^^^^^',
    ],
    [
      'at:2026-02-30',
      'at: takes a time such as 7d, 2026-11-20 or 2026-11-20T14:00\n  at:2026-02-30\n     ^^^^^^^^^^',
    ],
    ['since:1d,2d', 'since: takes one time\n  since:1d,2d\n           ^'],
    [
      'word:a-b',
      'word: takes one whole word; text: takes any part of a text\n  word:a-b\n       ^^^',
    ],
    ['text:""', 'there is nothing to look for\n  text:""\n       ^^'],
  ]
  for (const [query, message] of cases)
    test(`${query} is refused, with the place`, () => assert.equal(refused(query), message))

  test('long searches are refused', () => {
    assert.match(refused('a'.repeat(5000)), /at most 4096 characters/)
    assert.match(refused('verb:x '.repeat(60)), /more than 50 terms/)
    assert.match(refused(`verb:${'x,'.repeat(200)}x`), /more than 100 values/)
  })
})
