import type { PolicyVersionView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printList } from '../output.ts'

/** Lists every set of policies that was in force, newest first. */
export async function history(context: VerbContext): Promise<number> {
  const api = await context.api()
  const versions = await api.call('GET /v1/policies/versions')
  const columns = {
    VERSION: (row: PolicyVersionView) => `v${row.version}`,
    SINCE: (row: PolicyVersionView) => row.loadedAt,
    BY: (row: PolicyVersionView) => (row.author === '' ? 'files' : row.author),
    POLICIES: (row: PolicyVersionView) => String(row.policies),
    RULES: (row: PolicyVersionView) => String(row.rules),
    SHA256: (row: PolicyVersionView) => row.sha256.slice(0, 12),
  }
  await printList(context.output, versions, columns, (row) => String(row.version))
  return EXIT.done
}
