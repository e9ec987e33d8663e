import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { PolicyFile } from './load-policy-folder.ts'

/** Makes a folder hold these policies and no others. Each file comes whole or not at all. */
export async function replacePolicyFiles(dir: string, files: readonly PolicyFile[]): Promise<void> {
  const names = new Set(files.map(({ file }) => basename(file)))
  for (const { file, text } of files) {
    const partial = join(dir, `.${basename(file)}.partial`)
    await writeFile(partial, text, { mode: 0o600 })
    await rename(partial, join(dir, basename(file)))
  }
  for (const name of await readdir(dir)) {
    if (/\.ya?ml$/u.test(name) && !names.has(name)) await rm(join(dir, name))
  }
}
