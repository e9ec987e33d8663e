import { ERRORS, SallyportError } from '@sallyport/core'
import type { Connections } from '../connections.ts'
import {
  adopt,
  apply,
  check,
  drop,
  type GuardSubject,
  plan,
  type Progress,
  scriptOf,
} from './guard-runs.ts'
import type { GuardState } from './guard-state.ts'
import type { GuardRequest } from './guard-request.ts'
import type { GuardOptions } from './plan-types.ts'
import { maskSetsOf } from './policy-mask-sets.ts'
import type { Snapshots } from '../snapshots.ts'
import type { GuardEvent } from '../contract/connections.ts'

const optionsDefault: GuardOptions = { writes: 'none', lookup: undefined, closePublic: false }

/** The guards of this gateway's connections. */
export class Guards {
  readonly #connections: Connections
  readonly #snapshots: Snapshots
  readonly #publish: () => Promise<void>

  constructor(connections: Connections, snapshots: Snapshots, publish: () => Promise<void>) {
    this.#connections = connections
    this.#snapshots = snapshots
    this.#publish = publish
  }

  /** Runs a request, and tells of it as JSON lines. A failure is the last of them. */
  async *run(name: string, request: GuardRequest): AsyncGenerator<string> {
    // Before the first line: a connection that is not there is an ordinary refusal.
    const subject = await this.#subject(name)
    yield* lines(async (tell) => await this.#act(subject, request, tell))
  }

  async #subject(name: string): Promise<GuardSubject> {
    const connection = await this.#connections.config(name)
    const sets = maskSetsOf(this.#snapshots.policies, connection)
    return { connection, sets, names: this.#connections.guardNames(name) }
  }

  async #act(
    subject: GuardSubject,
    { action, options: stated, setup = { user: '', password: '' } }: GuardRequest,
    tell: (event: GuardEvent) => void,
  ): Promise<GuardEvent> {
    const { name } = subject.connection
    const before = await this.#connections.guard(name)
    const options = { ...optionsDefault, ...before?.options, ...stated }
    const progress = (made: Progress): void => tell({ kind: 'progress', ...made })
    switch (action) {
      case 'plan': {
        const planned = await plan(subject, options)
        const openings = planned.openings.map(({ kind, object }) => `${kind} ${object}`)
        const script = scriptOf(subject, planned)
        return { kind: 'planned', script, openings, notes: planned.notes }
      }
      case 'apply': {
        const { state, notes } = await apply(subject, options, setup, progress)
        return await this.#keep(name, state, notes)
      }
      case 'adopt':
        return await this.#keep(name, await adopt(subject, options), [])
      case 'check': {
        if (before === undefined)
          throw new SallyportError(
            'SP_GUARD_MISSING',
            `no guard was applied at the target of ${name}`,
          )
        return { kind: 'checked', ...(await check(subject, before)) }
      }
      case 'drop':
        // The gateway masks by itself from here on: no session is without masks when the roles go.
        await this.#connections.setGuard(name, undefined)
        await this.#publish()
        await drop(subject, setup, progress)
        return { kind: 'dropped' }
    }
  }

  async #keep(name: string, state: GuardState, notes: readonly string[]): Promise<GuardEvent> {
    await this.#connections.setGuard(name, state)
    await this.#publish()
    const sets = state.sets.map(({ id, login }) => ({ id, role: login }))
    return { kind: 'applied', sets, relations: Object.keys(state.relations).length, notes }
  }
}

/** Lines as they come about; what `work` returns or throws is the last. */
async function* lines(
  work: (tell: (event: GuardEvent) => void) => Promise<GuardEvent>,
): AsyncGenerator<string> {
  const queue: GuardEvent[] = []
  let wake = Promise.withResolvers<void>()
  let isDone = false
  const tell = (event: GuardEvent): void => {
    queue.push(event)
    wake.resolve()
  }
  const running = work(tell)
    .catch((error: unknown): GuardEvent => failed(error))
    .then((last) => {
      isDone = true
      tell(last)
    })
  for (;;) {
    await wake.promise
    wake = Promise.withResolvers<void>()
    for (const event of queue.splice(0)) yield `${JSON.stringify(event)}\n`
    if (isDone && queue.length === 0) break
  }
  await running
}

/** The text of an unforeseen error may hold anything, so it stays in this process. */
function failed(error: unknown): GuardEvent {
  const isKnown = error instanceof SallyportError && error.code !== 'SP_INTERNAL'
  const code = isKnown ? error.code : 'SP_INTERNAL'
  return { kind: 'failed', code, message: isKnown ? error.message : ERRORS.SP_INTERNAL.say }
}
