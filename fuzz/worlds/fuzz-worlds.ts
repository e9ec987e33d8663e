import { Choices, Random } from '../grammar/choices.ts'
import { writeProgram, type Program } from '../grammar/program.ts'
import { shapeOf, shrink } from '../shrink.ts'
import type { Shop } from '../shop/start-shop.ts'
import { Tally } from '../tally.ts'
import { WorldPair } from './world-pair.ts'

export interface WorldsOptions {
  readonly seed: number
  /** Ends after so many statements … */
  readonly statements: number
  /** … or seconds, whichever comes first. */
  readonly seconds: number
  /** Pairs of sessions that run side by side, each with databases of its own. */
  readonly pairs: number
  /** Leaks that end the run; each is made small, which takes seconds. */
  readonly leaksMax: number
}

/** A program whose answers tell the worlds apart. */
export interface WorldLeak {
  readonly program: Program
  readonly a: string
  readonly b: string
  /** False where it could not be seen again in databases made anew. */
  readonly isRepeatable: boolean
}

export interface WorldsReport {
  readonly leaks: readonly WorldLeak[]
  readonly tally: Tally
  readonly seconds: number
}

const depthMax = 6
const programsPerBatch = 12
/** One batch of so many is run without the gateway too, to see what the gateway changes. */
const sampleEvery = 8

/** Sends the same random programs to both worlds until something differs. */
export async function fuzzWorlds(shop: Shop, options: WorldsOptions): Promise<WorldsReport> {
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1000
  const tally = new Tally()
  const leaks: WorldLeak[] = []
  const seen = new Set<string>()
  const isOver = (): boolean =>
    tally.statements >= options.statements ||
    seconds() >= options.seconds ||
    leaks.length >= options.leaksMax

  const runPair = async (number: number): Promise<void> => {
    await using pair = await WorldPair.open(shop, `lane${number}`, 'gateway')
    await using direct = await WorldPair.open(shop, `direct${number}`, 'direct')
    const random = new Random(options.seed * 1000 + number)
    for (let batch = 0; !isOver(); batch += 1) {
      const written = Array.from({ length: programsPerBatch }, () => {
        const choices = Choices.from(random)
        return { program: writeProgram(choices, depthMax), choices: choices.taken }
      })
      const programs = written.map(({ program }) => program)
      const results = await pair.run(programs)
      for (const [at, result] of results.entries()) {
        const made = written[at]
        if (made === undefined) continue
        tally.count(made.program, result.a.frames)
        if (result.difference === undefined || isOver()) continue
        const leak = await examine(pair, made.choices, made.program, result.difference)
        const key = shapeOf(leak.program)
        if (!seen.has(key)) leaks.push(leak)
        seen.add(key)
      }
      if (batch % sampleEvery === 0 && !isOver()) {
        const plain = await direct.run(programs)
        for (const [at, result] of results.entries()) tally.compare(result, plain[at])
      }
    }
  }
  await Promise.all(Array.from({ length: options.pairs }, (_, number) => runPair(number)))
  return { leaks, tally, seconds: seconds() }
}

/** Runs the program once more, in databases made anew, and makes it small. */
async function examine(
  pair: WorldPair,
  choices: readonly number[],
  program: Program,
  difference: { readonly a: string; readonly b: string },
): Promise<WorldLeak> {
  await pair.renew()
  const differenceOf = async (list: readonly number[]): Promise<typeof difference | undefined> => {
    const [result] = await pair.run([writeProgram(Choices.replay(list), depthMax)])
    return result?.difference
  }
  if ((await differenceOf(choices)) === undefined)
    return { program, ...difference, isRepeatable: false }
  const small = await shrink(choices, async (list) => (await differenceOf(list)) !== undefined)
  await pair.renew()
  const last = (await differenceOf(small)) ?? difference
  await pair.renew()
  return { program: writeProgram(Choices.replay(small), depthMax), ...last, isRepeatable: true }
}
