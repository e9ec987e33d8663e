import { BackendType, frameType } from '@sallyport/wire'
import { LaneClosed, type Lane } from '../../fuzz/lane.ts'
import type { Shop } from '../../fuzz/shop/start-shop.ts'
import type { WorldName } from '../../fuzz/shop/values.ts'
import type { CorpusStep } from './corpus.ts'
import { encodeCorpusStep, framesByStep } from './messages.ts'

/** With nothing between, or through the gateway. */
export type Way = 'direct' | 'gateway'

/** What a session got, step by step; `ended` says that it did not survive them. */
export interface Played {
  readonly steps: readonly (readonly Buffer[])[]
  readonly ended: boolean
}

/** A database with the session in it that is as a new one would be, if there is one. */
interface Room {
  readonly database: string
  lane: Lane | undefined
}

/** A database for each way and world, made anew under another name whenever something was written to it. */
export class Stage implements AsyncDisposable {
  readonly #shop: Shop
  readonly #functionOids: ReadonlyMap<string, number>
  readonly #rooms = new Map<string, Room>()
  #made = 0

  private constructor(shop: Shop, functionOids: ReadonlyMap<string, number>) {
    this.#shop = shop
    this.#functionOids = functionOids
  }

  static async open(shop: Shop): Promise<Stage> {
    const rows = await shop.admin('shop_a', 'select proname, oid from pg_proc order by oid')
    const oids = new Map(rows.map(([name = '', oid]) => [name, Number(oid)]))
    return new Stage(shop, oids)
  }

  /** Runs the steps in each world, and `look` before and after; what they changed is gone for the next ones. */
  async play<Seen>(
    way: Way,
    worlds: readonly WorldName[],
    steps: readonly CorpusStep[],
    look: (database: string) => Promise<Seen>,
  ): Promise<{ readonly played: Played; readonly before: Seen; readonly after: Seen }[]> {
    const rooms: Room[] = []
    for (const world of worlds) rooms.push(await this.#room(way, world))
    const start = await this.#written()
    const results = await Promise.all(
      rooms.map(async (room) => {
        const before = await look(room.database)
        const played = await this.#session(way, room, steps)
        return { played, before, after: await look(room.database) }
      }),
    )
    if ((await this.#written()) !== start)
      for (const world of worlds) await this.#leave(`${way} ${world}`)
    return results
  }

  /** As `play` with nothing between, but where it can be all is rolled back in the end, which is quicker than a new database. */
  async playAndForget(steps: readonly CorpusStep[]): Promise<readonly [a: Played, b: Played]> {
    const run = async (world: WorldName): Promise<Played> => {
      const [begin, ...played] = (
        await this.#session('direct', await this.#room('direct', world), [
          textStep('begin'),
          ...steps,
          textStep('rollback'),
        ])
      ).steps
      return { steps: begin === undefined ? [] : played.slice(0, -1), ended: false }
    }
    const isPlain = steps.every(
      ({ sql, elsewhere }) => elsewhere === undefined && !outlives.test(sql),
    )
    if (isPlain) {
      const [a, b] = [await run('a'), await run('b')]
      const hasFailedEarly = [a, b].some((one) => one.steps.slice(0, -1).some(hasError))
      if (!hasFailedEarly) return [a, b]
    }
    const nothing = async (): Promise<undefined> => await Promise.resolve(undefined)
    const [a, b] = await this.play('direct', ['a', 'b'], steps, nothing)
    if (a === undefined || b === undefined) throw new Error('nothing was played')
    return [a.played, b.played]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const key of this.#rooms.keys()) await this.#leave(key)
    await this.#shop[Symbol.asyncDispose]()
  }

  async #room(way: Way, world: WorldName): Promise<Room> {
    const key = `${way} ${world}`
    const known = this.#rooms.get(key)
    if (known !== undefined) return known
    this.#made += 1
    const room: Room = { database: `stage_${this.#made}`, lane: undefined }
    await this.#shop.copy(world, room.database)
    this.#rooms.set(key, room)
    return room
  }

  async #leave(key: string): Promise<void> {
    const room = this.#rooms.get(key)
    if (room === undefined) return
    this.#rooms.delete(key)
    await hangUp(room)
    await this.#shop.admin('postgres', `drop database ${room.database} with (force)`)
  }

  async #session(way: Way, room: Room, steps: readonly CorpusStep[]): Promise<Played> {
    // What a session has seen may change how its later texts are treated.
    if (!steps.every(leavesNothing)) await hangUp(room)
    const lane = (room.lane ??= await this.#shop.enter(way, room.database))
    const played: Buffer[][] = []
    try {
      for (const step of steps) {
        if (step.elsewhere !== undefined) await this.#shop.admin(room.database, step.elsewhere)
        else {
          const messages = encodeCorpusStep(step, (name) => this.#functionOids.get(name) ?? 0)
          played.push(...framesByStep(await lane.exchange(messages, 1)))
        }
      }
    } catch (error) {
      await hangUp(room)
      if (!(error instanceof LaneClosed)) throw error
      return { steps: [...played, [...error.frames]], ended: true }
    }
    if (!steps.every(leavesNothing)) await hangUp(room)
    return { steps: played, ended: false }
  }

  /** How far the server's log of changes reaches. */
  async #written(): Promise<string> {
    return (await this.#shop.admin('postgres', 'select pg_current_wal_insert_lsn()'))[0]?.[0] ?? ''
  }
}

/** What a rollback does not take back, or what does not work in a transaction. */
const outlives =
  /\b(begin|commit|rollback|savepoint|listen|notify|pg_notify|setval|nextval|vacuum|discard|set|reset|hold|session|extension)\b|^$/i

function hasError(frames: readonly Buffer[]): boolean {
  return frames.some((frame) => frameType(frame, 0) === BackendType.errorResponse)
}

function textStep(sql: string): CorpusStep {
  return { sql, delivery: 'simple', parameters: [] }
}

async function hangUp(room: Room): Promise<void> {
  const { lane } = room
  room.lane = undefined
  await lane?.[Symbol.asyncDispose]()
}

/** A plain query leaves nothing behind in its session, unless it calls one of these functions. */
function leavesNothing({ sql }: CorpusStep): boolean {
  return /^(select|values|table)\b/i.test(sql) && !/set_config|lo_|val\(|advisory|;/i.test(sql)
}
