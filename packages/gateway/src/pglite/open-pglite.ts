import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite, type PGliteOptions } from '@electric-sql/pglite'

/** As much as PGlite's own version says: a template is what that version makes of nothing. */
const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.resolve('@electric-sql/pglite')), 'utf8'),
) as { readonly version: string }

/** A database of PGlite as it is when it was just created. Made by `npm run build:store`; not part of the sources. */
export const templateFile = new URL(`../../assets/pglite-${version}.tar.gz`, import.meta.url)

/** Opens the database in a folder. A new one comes from the template where that is there: creating one takes three times as long. */
export async function openPglite(
  dir: string,
  options: PGliteOptions = {},
  template: URL = templateFile,
): Promise<PGlite> {
  const isNew = !existsSync(join(dir, 'PG_VERSION'))
  if (!isNew || !existsSync(template)) return await PGlite.create(dir, options)
  const loadDataDir = new Blob([readFileSync(template)])
  return await PGlite.create(dir, { ...options, loadDataDir })
}

/** A database that was just created, as a compressed archive. */
export async function makeTemplate(): Promise<Buffer> {
  const lite = await PGlite.create()
  try {
    const archive = await lite.dumpDataDir('gzip')
    return Buffer.from(await archive.arrayBuffer())
  } finally {
    await lite.close()
  }
}
