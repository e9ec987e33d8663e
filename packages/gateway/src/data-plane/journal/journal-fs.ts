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
  | 'readFileSync'
  | 'statSync'
  | 'statfsSync'
  | 'unlinkSync'
  | 'writeSync'
>

/** The real file system. */
export const nodeJournalFs: JournalFs = fs
