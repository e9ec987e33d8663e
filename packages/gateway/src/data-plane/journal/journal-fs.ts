import fs from 'node:fs'

/** The part of `node:fs` that the journal writes through, so that tests can inject faults. */
export type JournalFs = Pick<
  typeof fs,
  | 'closeSync'
  | 'fdatasync'
  | 'fsync'
  | 'ftruncateSync'
  | 'openSync'
  | 'readdirSync'
  | 'statSync'
  | 'statfsSync'
  | 'unlinkSync'
  | 'writeSync'
>

/** The real file system. */
export const nodeJournalFs: JournalFs = fs

/** Five and eight digits: more than the workers and files a node will have, and names sort by age. */
const WORKER_DIGITS = 5
const SEQUENCE_DIGITS = 8

/** `<worker>-<sequence>.journal`, sortable. */
export function journalFileName(worker: number, sequence: number): string {
  const left = String(worker).padStart(WORKER_DIGITS, '0')
  return `${left}-${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.journal`
}

/** Worker and sequence of a journal's file name; undefined for other files. `damaged` files count for numbering only. */
export function parseJournalFileName(
  name: string,
): { readonly worker: number; readonly sequence: number; readonly damaged: boolean } | undefined {
  const match = /^(\d+)-(\d+)\.journal(\.damaged)?$/.exec(name)
  if (match === null) return undefined
  return {
    worker: Number(match[1]),
    sequence: Number(match[2]),
    damaged: match[3] !== undefined,
  }
}
