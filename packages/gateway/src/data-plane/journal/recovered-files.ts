import fs from 'node:fs/promises'
import path from 'node:path'
import { isRecoveredListName, parseRecoveredList, recoveredListName } from '@sallyport/core'

/** Files of ended runs that need no further look, with the size they had: a start would else read gigabytes again. */
export type RecoveredFiles = ReadonlyMap<string, number>

const fileMode = 0o600

/** What recoveries before this one have seen to. */
export async function readRecovered(dir: string): Promise<RecoveredFiles> {
  const names = (await fs.readdir(dir)).filter(isRecoveredListName)
  const lists = await Promise.all(names.map((name) => readList(path.join(dir, name))))
  return new Map(lists.flat())
}

/** Remembers what `worker` has seen to. It need not be synced: a list that is lost costs time, and readers check every entry anyway. */
export async function writeRecovered(
  dir: string,
  worker: number,
  files: RecoveredFiles,
): Promise<void> {
  const target = path.join(dir, recoveredListName(worker))
  await fs.writeFile(`${target}.new`, JSON.stringify([...files]), { mode: fileMode })
  await fs.rename(`${target}.new`, target)
}

async function readList(file: string): Promise<[string, number][]> {
  return parseRecoveredList(await fs.readFile(file, 'utf8').catch(() => ''))
}
