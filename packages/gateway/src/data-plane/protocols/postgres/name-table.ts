/**
 * What the names of one session stand for at the target: prepared statements, or portals.
 *
 * A name changes only when the target says so (`ParseComplete`, `BindComplete`, `CloseComplete`): until then a change is
 * pending, and counts for the messages of its own batch alone. A batch ends with Sync, or is one simple query. A later batch
 * that asks for a name with a pending change must wait, because the change may yet fail and leave an older meaning behind.
 */
export class NameTable<Value> {
  readonly #confirmed = new Map<string, Value>()
  #pending: Pending<Value>[] = []
  readonly #max: number

  /** `max` bounds the names that one session keeps, so that its memory is bounded. */
  constructor(max: number) {
    this.#max = max
  }

  get isFull(): boolean {
    return this.#confirmed.size + this.#pending.length >= this.#max
  }

  /** False while a name that a statement's text can hold might still change. SQL has no word for the unnamed ones. */
  get isSettled(): boolean {
    return this.#pending.every(({ name }) => name === '')
  }

  /** Announces a change that `batch` has asked the target for. `undefined` removes the name. */
  announce(batch: number, name: string, value: Value | undefined): Pending<Value> {
    const pending = { batch, name, value }
    this.#pending.push(pending)
    return pending
  }

  /** The target has done what was announced. */
  confirm(pending: Pending<Value>): void {
    this.#drop((other) => other === pending)
    if (pending.value === undefined) this.#confirmed.delete(pending.name)
    else this.#confirmed.set(pending.name, pending.value)
  }

  /** The target has finished the batch: what it did not confirm has not happened. */
  settle(batch: number): void {
    if (this.#pending.length > 0) this.#drop((pending) => pending.batch <= batch)
  }

  /** The meaning of `name` for a message of `batch`, or `wait` while an earlier batch may still change it. */
  lookUp(batch: number, name: string): Value | undefined | 'wait' {
    for (let at = this.#pending.length - 1; at >= 0; at -= 1) {
      const pending = this.#pending[at]
      if (pending === undefined || !concerns(pending, name)) continue
      if (pending.batch !== batch) return 'wait'
      return pending.name === everyName ? undefined : pending.value
    }
    return this.#confirmed.get(name)
  }

  /** Announces that `name` goes; the returned function confirms it. */
  remove(batch: number, name: string): () => void {
    const pending = this.announce(batch, name, undefined)
    return () => this.confirm(pending)
  }

  /** Announces that every name goes but `kept`; the returned function confirms it. */
  removeAll(batch: number, kept?: string): () => void {
    const pending = { batch, name: everyName, value: undefined, kept }
    this.#pending.push(pending)
    return () => {
      this.#drop((other) => other === pending)
      for (const name of this.#confirmed.keys()) if (name !== kept) this.#confirmed.delete(name)
    }
  }

  /** Forgets every name for which `isGone` holds: portals end with their transaction. */
  forget(isGone: (value: Value) => boolean): void {
    for (const [name, value] of this.#confirmed) if (isGone(value)) this.#confirmed.delete(name)
  }

  /** All that stands, and all that was announced. */
  *values(): Iterable<Value> {
    yield* this.#confirmed.values()
    for (const { value } of this.#pending) if (value !== undefined) yield value
  }

  get size(): number {
    return this.#confirmed.size
  }

  #drop(isDropped: (pending: Pending<Value>) => boolean): void {
    this.#pending = this.#pending.filter((pending) => !isDropped(pending))
  }
}

export interface Pending<Value> {
  readonly batch: number
  readonly name: string
  readonly value: Value | undefined
  /** Of a change to every name, the one that it leaves alone. */
  readonly kept?: string | undefined
}

function concerns(pending: Pending<unknown>, name: string): boolean {
  return pending.name === everyName ? pending.kept !== name : pending.name === name
}

/** A NUL byte can't stand in a name on the wire, so this is no name. */
const everyName = '\0'
