import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { makeTemplate, templateFile } from '../packages/gateway/src/pglite/open-pglite.ts'

/** Writes the template of embedded databases, whole or not at all. One of the same version of PGlite is kept. */
if (!existsSync(templateFile)) {
  const making = new URL(`${templateFile.href}.${process.pid}`)
  mkdirSync(new URL('.', templateFile), { recursive: true })
  writeFileSync(making, await makeTemplate())
  renameSync(making, templateFile)
}
