import fs from 'node:fs/promises'
import path from 'node:path'
import { parseJournalFileName } from './journal-fs.ts'

/** Files of ended runs that need no further look, with the size they had: a start would else read gigabytes again. */
export type RecoveredFiles = ReadonlyMap<string, number>

const fileMode = 0o600

/** What recoveries before this one have seen to. A list that can't be read counts as none: its files are read again. */
export async function readRecovered(dir: string): Promise<RecoveredFiles> {
  const names = (await fs.readdir(dir)).filter((name) => /^recovered-\d+\.json$/u.test(name))
  const lists = await Promise.all(names.map((name) => readList(path.join(dir, name))))
  return new Map(lists.flat())
}

/** Remembers what `worker` has seen to. It need not be synced: a list that is lost costs time, and readers check every entry anyway. */
export async function writeRecovered(
  dir: string,
  worker: number,
  files: RecoveredFiles,
): Promise<void> {
  const target = path.join(dir, `recovered-${worker}.json`)
  await fs.writeFile(`${target}.new`, JSON.stringify([...files]), { mode: fileMode })
  await fs.rename(`${target}.new`, target)
}

async function readList(file: string): Promise<[string, number][]> {
  try {
    const list: unknown = JSON.parse(await fs.readFile(file, 'utf8'))
    return Array.isArray(list) ? list.filter(isEntry) : []
  } catch {
    return []
  }
}

function isEntry(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return false
  return parseJournalFileName(value[0]) !== undefined && typeof value[1] === 'number'
}
