import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import {
  BackendType,
  decodeErrorResponse,
  encodeDescribe,
  encodeParse,
  encodeQuery,
  encodeSync,
  frameBody,
  frameType,
} from '@sallyport/wire'
import { SqlClassifier } from '../packages/gateway/src/data-plane/protocols/postgres/classify/classify-sql.ts'
import type { CatalogView } from '../packages/gateway/src/data-plane/protocols/postgres/classify/classified.ts'
import { Choices, Random } from '../fuzz/grammar/choices.ts'
import { writeProgram } from '../fuzz/grammar/program.ts'
import { startShop, type Shop } from '../fuzz/shop/start-shop.ts'
import { loadAttacks, loadBenignRows } from './bypass/corpus.ts'
import { shopCatalog } from './bypass/judge-alone.ts'

/** Code that no name calls: what it does is counted among a statement's effects, but it is not among `sql.functions` yet. */
const behindNotation = /@@@|::name|as name\)|b\.badge_text|p\.tell/

const fuzzSeed = 31
const fuzzPrograms = 500
const queries = /^(select|with|table|values|insert|update|delete|merge)\b/i

/** With these the server prints the tree that it is going to run, views and rules put in, when it reads a statement. */
const printing = `set client_min_messages = log; set debug_print_rewritten = on; set debug_pretty_print = off`

suite('what the server says that a statement is', { skip: skipReason(), timeout: 280_000 }, () => {
  let shop: Shop
  before(async () => {
    shop = await startShop()
  })
  after(async () => {
    await shop[Symbol.asyncDispose]()
  })

  test('every relation and function of the rewritten tree is among those that the classifier names', async () => {
    const relations = await names(
      shop,
      `select c.oid, n.nspname || '.' || c.relname from pg_class c
      join pg_namespace n on n.oid = c.relnamespace where c.oid >= 16384`,
    )
    const functions = await names(shop, 'select oid, proname from pg_proc where oid >= 16384')
    const view = (await shopCatalog(shop)).view(true, new Set())
    const classifier = await SqlClassifier.create()
    await using lane = await shop.enter('direct', 'shop_a')
    await lane.exchange([encodeQuery(printing)], 1)
    let [read, compared] = [0, 0]
    const missed: string[] = []
    for (const text of texts()) {
      const parse = encodeParse({ statement: '', text, parameterTypes: [] })
      const describe = encodeDescribe({ target: 'statement', name: '' })
      const tree = treeOf(await lane.exchange([parse, describe, encodeSync()], 1))
      read += 1
      // The server does not understand it, or it names what an earlier step would have made.
      if (tree === undefined) continue
      compared += 1
      const ours = namedBy(text, classifier, view)
      const theirs = [
        ...oidsIn(tree, /:relid (\d+)/g).flatMap((oid) => relations.get(oid) ?? []),
        ...oidsIn(tree, /:(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)/g)
          .filter(() => !behindNotation.test(text))
          .flatMap((oid) => functions.get(oid) ?? []),
      ]
      if (ours === undefined) continue
      for (const name of theirs) if (!ours.has(name)) missed.push(`${name} in ${text}`)
    }
    assert.deepEqual(missed, [])
    assert.ok(compared > read / 2, `${compared} of ${read} texts could be compared`)
  })
})

function texts(): string[] {
  const random = new Random(fuzzSeed)
  const programs = Array.from({ length: fuzzPrograms }, () => writeProgram(Choices.from(random), 5))
  return [...loadAttacks(), ...loadBenignRows(), ...programs]
    .flatMap(({ steps }) => steps.map(({ sql }) => sql))
    .filter((sql) => queries.test(sql) && !sql.includes(';'))
}

async function names(shop: Shop, sql: string): Promise<ReadonlyMap<number, string>> {
  return new Map((await shop.admin('shop_a', sql)).map(([oid, name = '']) => [Number(oid), name]))
}

/** What the LOG messages of a Parse print. */
function treeOf(frames: readonly Buffer[]): string | undefined {
  if (frames.some((frame) => frameType(frame, 0) === BackendType.errorResponse)) return undefined
  const notices = frames.filter((frame) => frameType(frame, 0) === BackendType.noticeResponse)
  const printed = notices.map((frame) => decodeErrorResponse(frameBody(frame, 0)).fields)
  return printed.map((fields) => `${fields.get('M') ?? ''}\n${fields.get('D') ?? ''}`).join('\n')
}

function oidsIn(tree: string, pattern: RegExp): number[] {
  return [...new Set([...tree.matchAll(pattern)].map(([, oid]) => Number(oid)))]
}

/** Undefined where the classifier says that it does not know, and so nothing passes. */
function namedBy(
  text: string,
  classifier: SqlClassifier,
  view: CatalogView,
): ReadonlySet<string> | undefined {
  const { effects } = classifier.classify(text, view)
  if (effects.class === 'unknown' || effects.sql === undefined) return undefined
  const { reads, writes, functions } = effects.sql
  return new Set([
    ...[...reads, ...writes].map((name) => name.join('.')),
    ...functions.map((name) => name.slice(name.lastIndexOf('.') + 1)),
  ])
}
