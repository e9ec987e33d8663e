import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** The data folder: the flag, else `SALLYPORT_DATA`, else `~/.sallyport`. */
export function dataDirOf(flag: string | undefined): string {
  return resolve(flag ?? process.env['SALLYPORT_DATA'] ?? join(homedir(), '.sallyport'))
}
