/** Five and eight digits: more than the workers and files a node will have, and names sort by age. */
const WORKER_DIGITS = 5
const SEQUENCE_DIGITS = 8

/** The control plane writes its ledger as the worker of this number: data-plane workers count from 0, and there are few. */
export const LEDGER_WORKER = 90_000

/** What the name of a journal file says. */
export interface JournalName {
  readonly worker: number
  readonly sequence: number
  /** Set aside: it counts for numbering, and is read up to its damage. */
  readonly damaged: boolean
}

/** `<worker>-<sequence>.journal`, sortable. */
export function journalFileName(worker: number, sequence: number): string {
  const left = String(worker).padStart(WORKER_DIGITS, '0')
  return `${left}-${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.journal`
}

/** Worker and sequence of a journal's file name; undefined for other files. */
export function parseJournalFileName(name: string): JournalName | undefined {
  const match = /^(\d+)-(\d+)\.journal(\.damaged)?$/.exec(name)
  if (match === null) return undefined
  return {
    worker: Number(match[1]),
    sequence: Number(match[2]),
    damaged: match[3] !== undefined,
  }
}

/** A worker's list of files of ended runs that need no further look. */
export function recoveredListName(worker: number): string {
  return `recovered-${worker}.json`
}

export function isRecoveredListName(name: string): boolean {
  return /^recovered-\d+\.json$/u.test(name)
}

/** Files and the sizes they had. A list that can't be read counts as none: its files are read again. */
export function parseRecoveredList(text: string): [string, number][] {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.filter(isSeen) : []
  } catch {
    return []
  }
}

function isSeen(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return false
  return parseJournalFileName(value[0]) !== undefined && typeof value[1] === 'number'
}
