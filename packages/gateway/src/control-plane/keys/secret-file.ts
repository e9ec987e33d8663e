import { link, readFile, rm, writeFile } from 'node:fs/promises'

/** Reads a file that only its owner may read; makes it from `make()` where it is absent, whole or not at all. */
export async function secretFile(
  path: string,
  make: () => string | Promise<string>,
): Promise<string> {
  const there = await readFile(path, 'utf8').catch(ignoreAbsent)
  if (there !== undefined) return there
  const draft = `${path}.${process.pid}.new`
  await writeFile(draft, await make(), { mode: 0o600, flush: true })
  try {
    await link(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await rm(draft, { force: true })
  }
  return readFile(path, 'utf8')
}

function ignoreAbsent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}
