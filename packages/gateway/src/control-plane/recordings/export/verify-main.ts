import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tellVerification, verifyRecordings } from '@sallyport/core'
import { FolderSource } from '../folder-source.ts'
import { exportKeys, manifestName, notChecked } from './export-manifest.ts'

/** Verifies the export that it stands in, or the one named first on the command line; behind that, thumbprints of keys that are expected. Exit codes: 0 whole, 1 not, 2 no export. */
async function main(): Promise<number> {
  const dir = resolve(process.argv[2] ?? dirname(fileURLToPath(import.meta.url)))
  const source = new FolderSource(dir)
  const keys = await exportKeys(source).catch((error: unknown) => {
    if (!(error instanceof RangeError)) throw error
    process.stderr.write(`${manifestName}: ${error.message}\n`)
  })
  if (keys === undefined) {
    process.stderr.write(`${dir} holds no ${manifestName}: unpack the whole archive first.\n`)
    return 2
  }
  const result = await verifyRecordings({
    source,
    keyOf: async (session) => await Promise.resolve(keys.get(session)),
    only: new Set(keys.keys()),
    signedBy: process.argv.slice(3),
  })
  process.stdout.write(
    `${tellVerification({ ...result, notes: [...result.notes, notChecked] }).join('\n')}\n`,
  )
  return result.findings.length === 0 ? 0 : 1
}

process.exitCode = await main()
