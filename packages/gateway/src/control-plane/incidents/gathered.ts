import type {
  ChangeFact,
  CommandFact,
  ReturnedFact,
  SessionFact,
  UnknownFact,
} from '../contract/incident-views.ts'

/** Commands, changes and refusals of a report; the transcripts have all. */
const listedMax = 10_000
const unknownMax = 1000
const commandsNamedMax = 20
/** Detectors look at so many values of an incident. */
export const valuesMax = 500_000

/** What is gathered of all sessions of an incident. Bounded: what is beyond is counted, and told. */
export class Gathered {
  readonly sessions: SessionFact[] = []
  readonly commands: CommandFact[] = []
  readonly changed: ChangeFact[] = []
  readonly stopped: CommandFact[] = []
  readonly returned = new Map<string, ReturnedFact & { values: number; commands: number[] }>()
  readonly unknown: UnknownFact[] = []
  /** Entries that were read, and those of them that did not verify. */
  entries = 0
  unverified = 0
  /** What was left out of a list. */
  leftOut = 0
  /** Values that detectors have looked at. */
  values = 0

  list<T>(list: T[], fact: T): void {
    if (list.length < listedMax) list.push(fact)
    else this.leftOut += 1
  }

  say(fact: UnknownFact): void {
    if (this.unknown.length < unknownMax) this.unknown.push(fact)
    else this.leftOut += 1
  }

  /** Counts sensitive values of a command's answer, put together by session and column. */
  came(fact: Omit<ReturnedFact, 'commands'> & { readonly seq: number }): void {
    const { session, how, what, columns, seq, values } = fact
    const key = JSON.stringify([session, how, what, columns])
    const known = this.returned.get(key)
    if (known !== undefined) {
      known.values += values
      if (known.commands.at(-1) !== seq && known.commands.length < commandsNamedMax)
        known.commands.push(seq)
    } else if (this.returned.size < listedMax) this.returned.set(key, { ...fact, commands: [seq] })
    else this.leftOut += 1
  }
}
