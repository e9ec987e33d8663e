import { Choices, Random } from '../grammar/choices.ts'
import { writeProgram, type Program } from '../grammar/program.ts'
import { Lane } from '../lane.ts'
import { runPrograms, type Outcome } from '../run-programs.ts'
import { SecretScanner, type Leak } from '../shop/secret-scanner.ts'
import type { Shop } from '../shop/start-shop.ts'
import { shapeOf, shrink } from '../shrink.ts'
import { Tally } from '../tally.ts'

export interface SecretsOptions {
  readonly seed: number
  /** Ends after so many statements … */
  readonly statements: number
  /** … or seconds, whichever comes first. */
  readonly seconds: number
  /** Sessions that run side by side, each with a database of its own. */
  readonly lanes: number
  /** Leaks that end the run; each is made small, which takes seconds. */
  readonly leaksMax: number
}

/** A program in whose answer a planted value was found. */
export interface SecretLeak {
  readonly program: Program
  readonly leak: Leak
}

export interface SecretsReport {
  readonly leaks: readonly SecretLeak[]
  readonly tally: Tally
  /** Programs that show a planted value with nothing between, of those that were tried so. */
  readonly telling: { readonly shown: number; readonly tried: number }
  readonly seconds: number
}

const depthMax = 6
const programsPerBatch = 12
/** One batch of so many is run without the gateway too, to see that the generator asks for secrets at all. */
const sampleEvery = 20

/** Searches every byte that answers random programs for the values that were planted. */
export async function fuzzSecrets(shop: Shop, options: SecretsOptions): Promise<SecretsReport> {
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1000
  const tally = new Tally()
  const scanner = new SecretScanner(shop.secrets)
  const leaks: SecretLeak[] = []
  const seen = new Set<string>()
  const telling = { shown: 0, tried: 0 }
  const isOver = (): boolean =>
    tally.statements >= options.statements ||
    seconds() >= options.seconds ||
    leaks.length >= options.leaksMax

  const runLane = async (number: number): Promise<void> => {
    await using lane = new RenewedLane(shop, `secrets${number}`, 'gateway')
    await using direct = new RenewedLane(shop, `plain${number}`, 'direct')
    const random = new Random(options.seed * 1000 + number)
    for (let batch = 0; !isOver(); batch += 1) {
      const written = Array.from({ length: programsPerBatch }, () => {
        const choices = Choices.from(random)
        return { program: writeProgram(choices, depthMax), choices: choices.taken }
      })
      const programs = written.map(({ program }) => program)
      for (const [at, outcome] of (await lane.run(programs)).entries()) {
        const made = written[at]
        if (made === undefined) continue
        tally.count(made.program, outcome.frames)
        const [found] = scanner.find(Buffer.concat(outcome.frames))
        if (found === undefined || isOver()) continue
        const leak = await examine(lane, scanner, { ...made, leak: found })
        const key = shapeOf(leak.program)
        if (!seen.has(key)) leaks.push(leak)
        seen.add(key)
      }
      if (batch % sampleEvery !== 0 || isOver()) continue
      for (const outcome of await direct.run(programs)) {
        telling.tried += 1
        if (scanner.find(Buffer.concat(outcome.frames)).length > 0) telling.shown += 1
      }
    }
  }
  await Promise.all(Array.from({ length: options.lanes }, (_, number) => runLane(number)))
  return { leaks, tally, telling, seconds: seconds() }
}

/** Makes the program small, in a database made anew. */
async function examine(
  lane: RenewedLane,
  scanner: SecretScanner,
  made: { readonly program: Program; readonly choices: readonly number[]; readonly leak: Leak },
): Promise<SecretLeak> {
  await lane.renew()
  const leakOf = async (list: readonly number[]): Promise<Leak | undefined> => {
    const outcomes = await lane.run([writeProgram(Choices.replay(list), depthMax)])
    return scanner.find(Buffer.concat(outcomes.flatMap(({ frames }) => frames)))[0]
  }
  if ((await leakOf(made.choices)) === undefined) return made
  const small = await shrink(made.choices, async (list) => (await leakOf(list)) !== undefined)
  const leak = (await leakOf(small)) ?? made.leak
  await lane.renew()
  return { program: writeProgram(Choices.replay(small), depthMax), leak }
}

/** A session in a copy of a world, opened again where it ends. */
class RenewedLane implements AsyncDisposable {
  readonly #shop: Shop
  readonly #database: string
  readonly #way: 'gateway' | 'direct'
  #lane: Lane | undefined
  #isMade = false

  constructor(shop: Shop, database: string, way: 'gateway' | 'direct') {
    this.#shop = shop
    this.#database = database
    this.#way = way
  }

  async renew(): Promise<void> {
    await this[Symbol.asyncDispose]()
    await this.#shop.copy('a', this.#database)
    this.#isMade = true
  }

  async run(programs: readonly Program[]): Promise<Outcome[]> {
    if (programs.length === 0) return []
    if (!this.#isMade) await this.renew()
    this.#lane ??= await this.#shop.enter(this.#way, this.#database)
    const outcomes = await runPrograms(this.#lane, programs)
    if (outcomes.at(-1)?.ended === true) await this[Symbol.asyncDispose]()
    return [...outcomes, ...(await this.run(programs.slice(outcomes.length)))]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const lane = this.#lane
    this.#lane = undefined
    await lane?.[Symbol.asyncDispose]()
  }
}
