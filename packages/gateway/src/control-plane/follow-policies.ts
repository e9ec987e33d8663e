import { SallyportError } from '@sallyport/core'
import { Serial } from './agents/serial.ts'
import { seedPolicies } from './default-policies.ts'
import { gatewayBy, type FactBy } from './ledger/ledger.ts'
import type { Parts } from './parts.ts'
import { printProblems } from './policies/config-problem.ts'
import {
  loadPolicyFolder,
  readPolicyFiles,
  type LoadedPolicies,
} from './policies/load-policy-folder.ts'
import { replacePolicyFiles } from './policies/replace-policy-files.ts'
import { watchPolicyFolder } from './policies/watch-policy-folder.ts'
import type { PolicyVersionView } from './contract/policies.ts'

/** The policies in force, which follow their folder. */
export interface PolicyFollower {
  readonly dir: string
  /** What is wrong with the files that were read last; empty where they are in force. */
  readonly problems: string
  /** Takes the policies of changed files from now on, and gives them to `publish`. */
  follow(publish: () => Promise<void>): Promise<void>
  /** Writes the files of a version into the folder, in the place of those that are there, and puts them in force as a new version. */
  revert(version: number, by: FactBy): Promise<PolicyVersionView>
}

/** Reads the policies for the first time; a gateway does not start on broken ones. */
export async function loadPolicies(
  { options, snapshots, ledger, fault }: Parts,
  undo: AsyncDisposableStack,
): Promise<PolicyFollower> {
  const dir = await seedPolicies(options.dataDir, options.demo)
  const first = accepted(await loadPolicyFolder(dir))
  await snapshots.usePolicies(first.policies, first.files, '')
  const tellLoaded = async (actor: FactBy): Promise<void> => {
    const { policyVersion: version, ruleCount: rules, policyDigest: sha256 } = snapshots
    const detail = { version, rules, sha256 }
    await ledger.write({ what: 'policies.loaded', actor, subject: dir, detail })
  }
  const itself = gatewayBy('policies')
  await tellLoaded(itself)
  const serial = new Serial()
  let problems = ''
  let publishAll = async (): Promise<void> => Promise.resolve()
  const use = async (loaded: LoadedPolicies, by: FactBy): Promise<void> => {
    problems = loaded.kind === 'ok' ? '' : printProblems(loaded.problems)
    if (loaded.kind === 'refused') {
      const detail = { problem: problems }
      await ledger.write({ what: 'policies.refused', actor: by, subject: dir, detail })
      return options.onEvent({ kind: 'policies.refused', text: problems })
    }
    const before = snapshots.policyVersion
    await snapshots.usePolicies(loaded.policies, loaded.files, by.by === 'gateway' ? '' : by.name)
    // Files that were reverted are seen to change, and are in force by then.
    if (snapshots.policyVersion === before && by === itself && before === reverted) return
    await tellLoaded(by)
    await publishAll()
    const { policyVersion: version, ruleCount: rules } = snapshots
    options.onEvent({ kind: 'policies.loaded', version, rules })
  }
  let reverted = 0
  return {
    dir,
    get problems() {
      return problems
    },
    async follow(publish) {
      publishAll = publish
      const watch = await watchPolicyFolder(
        dir,
        (loaded) => void serial.run(async () => await use(loaded, itself)).catch(fault),
      )
      undo.defer(() => watch.close())
    },
    async revert(number, by) {
      return await serial.run(async () => {
        const { files } = await snapshots.policyVersions.get(number)
        const loaded = readPolicyFiles(files)
        // An older version may hold what this gateway no longer takes; then nothing changes.
        accepted(loaded)
        await replacePolicyFiles(dir, files)
        await use(await loadPolicyFolder(dir), by)
        reverted = snapshots.policyVersion
        return await snapshots.policyVersions.view(snapshots.policyVersion)
      })
    },
  }
}

function accepted(loaded: LoadedPolicies): Extract<LoadedPolicies, { kind: 'ok' }> {
  if (loaded.kind === 'ok') return loaded
  const text = printProblems(loaded.problems)
  throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
}
