import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { expressionRules } from '../packages/gateway/src/data-plane/protocols/postgres/lineage/expression-rules.ts'
import { Choices, Random } from '../fuzz/grammar/choices.ts'
import { writeProgram } from '../fuzz/grammar/program.ts'
import { startShop, type Shop } from '../fuzz/shop/start-shop.ts'
import { corpusMasks, loadAttacks } from './bypass/corpus.ts'
import { isWeaker, LoneJudge } from './bypass/judge-alone.ts'

const lineageFolder = join(
  import.meta.dirname,
  '../packages/gateway/src/data-plane/protocols/postgres/lineage',
)

/** Every name that the source asks `isOn` for, and every expression rule. */
const rules = [
  ...new Set([
    ...Object.keys(expressionRules),
    ...globSync(`${lineageFolder}/*.ts`).flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/isOn\('([^']+)'\)/g)].map(([, name = '']) => name),
    ),
  ]),
].toSorted((a, b) => a.localeCompare(b))

/** Rules that say that something takes nothing masked: switched off, they say the same. */
const harmless = new Set(
  'A_Const CurrentOfExpr GroupingFunc JsonFormat JsonOutput JsonReturning MergeSupportFunc SetToDefault SQLValueFunction'.split(
    ' ',
  ),
)

/** Without it a recursion is never settled, and then it may give anything: it makes verdicts milder, not stricter. */
harmless.add('recursion')
/** Without it what decides about a sub-query's rows is refused, and not masked as its value: the stricter verdict. */
harmless.add('confined')

const fuzzSeed = 20
const fuzzPrograms = 800

suite('lineage with a rule missing', { skip: skipReason(), timeout: 280_000 }, () => {
  let shop: Shop
  let judge: LoneJudge
  before(async () => {
    shop = await startShop()
    judge = await LoneJudge.open(shop, corpusMasks())
  })
  after(async () => {
    await shop[Symbol.asyncDispose]()
  })

  test('each rule has a row of the corpus or a random statement that is judged worse without it', () => {
    const random = new Random(fuzzSeed)
    const programs = Array.from({ length: fuzzPrograms }, () =>
      writeProgram(Choices.from(random), 6),
    )
    const texts = [...loadAttacks(), ...programs].flatMap(({ steps }) =>
      steps.map(({ sql }) => sql),
    )
    const whole = judge.without()
    const verdicts = new Map(texts.map((text) => [text, whole(text)]))
    const unmissed = rules.filter((rule) => {
      if (harmless.has(rule)) return false
      const lame = judge.without(rule)
      const found = texts.find((text) => isWeaker(lame(text), verdicts.get(text)))
      return found === undefined
    })
    assert.deepEqual(unmissed, [])
  })
})
