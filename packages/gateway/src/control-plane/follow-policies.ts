import { SallyportError } from '@sallyport/core'
import { seedPolicies } from './default-policies.ts'
import { gatewayBy } from './ledger/ledger.ts'
import type { Parts } from './parts.ts'
import { printProblems } from './policies/config-problem.ts'
import { loadPolicyFolder, type LoadedPolicies } from './policies/load-policy-folder.ts'
import { watchPolicyFolder } from './policies/watch-policy-folder.ts'

/** The policies in force, which follow their folder. */
export interface PolicyFollower {
  readonly dir: string
  /** What is wrong with the files that were read last; empty where they are in force. */
  readonly problems: string
  /** Takes the policies of changed files from now on, and gives them to `publish`. */
  follow(publish: () => Promise<void>): Promise<void>
}

/** Reads the policies for the first time; a gateway does not start on broken ones. */
export async function loadPolicies(
  { options, snapshots, ledger, fault }: Parts,
  undo: AsyncDisposableStack,
): Promise<PolicyFollower> {
  const dir = await seedPolicies(options.dataDir)
  await snapshots.usePolicies(accepted(await loadPolicyFolder(dir)))
  const actor = gatewayBy('policies')
  const tellLoaded = async (): Promise<void> => {
    const { policyVersion: version, ruleCount: rules, policyDigest: sha256 } = snapshots
    const detail = { version, rules, sha256 }
    await ledger.write({ what: 'policies.loaded', actor, subject: dir, detail })
  }
  await tellLoaded()
  let problems = ''
  return {
    dir,
    get problems() {
      return problems
    },
    async follow(publish) {
      const use = async (loaded: LoadedPolicies): Promise<void> => {
        problems = loaded.kind === 'ok' ? '' : printProblems(loaded.problems)
        if (loaded.kind === 'refused') {
          const detail = { problem: problems }
          await ledger.write({ what: 'policies.refused', actor, subject: dir, detail })
          return options.onEvent({ kind: 'policies.refused', text: problems })
        }
        await snapshots.usePolicies(loaded.policies)
        await tellLoaded()
        await publish()
        const { policyVersion: version, ruleCount: rules } = snapshots
        options.onEvent({ kind: 'policies.loaded', version, rules })
      }
      const watch = await watchPolicyFolder(dir, (loaded) => void use(loaded).catch(fault))
      undo.defer(() => watch.close())
    },
  }
}

function accepted(loaded: LoadedPolicies): Extract<LoadedPolicies, { kind: 'ok' }>['policies'] {
  if (loaded.kind === 'ok') return loaded.policies
  const text = printProblems(loaded.problems)
  throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
}
