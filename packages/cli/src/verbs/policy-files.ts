import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import type { PolicyFile } from '@sallyport/gateway'

/** The YAML files that paths name: files themselves, and those in folders and the folders below. In order of their names. */
export async function policyFiles(paths: readonly string[]): Promise<PolicyFile[]> {
  const names = new Set<string>()
  for (const path of paths) for (const name of await yamlFiles(path)) names.add(name)
  if (names.size === 0) {
    throw new SallyportError('SP_CONFIG_INVALID', `no YAML file in ${paths.join(', ')}`)
  }
  return await Promise.all(
    [...names].map(async (file) => ({ file, text: await readFile(file, 'utf8') })),
  )
}

async function yamlFiles(path: string): Promise<string[]> {
  const found = await stat(path).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : ''
    throw new SallyportError('SP_CONFIG_INVALID', `cannot read ${path}: ${why}`)
  })
  if (!found.isDirectory()) return [path]
  const names = await readdir(path, { recursive: true })
  return names
    .filter((name) => /\.ya?ml$/u.test(name))
    .toSorted()
    .map((name) => join(path, name))
}
