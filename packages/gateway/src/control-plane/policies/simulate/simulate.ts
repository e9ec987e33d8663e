import { isLedgerId, type Policy } from '@sallyport/core'
import { recordingBatches, type RecordingSources } from '../../recordings/recordings.ts'
import type { Store } from '../../ports/store.ts'
import { compiledAgain } from '../explain/explained-rules.ts'
import type { PolicyVersions } from '../policy-versions.ts'
import { DecidingPolicies } from './decided.ts'
import { Simulator } from './simulator.ts'
import type { SimulationEvent } from '../../contract/policies.ts'

/** Others have to come to their turn between this many entries. */
const entriesPerTurn = 2000
const progressEveryMs = 500

/** Replays what was recorded since a time against other policies. Whoever stops to ask for the next line has cancelled it. */
export async function* simulate(
  {
    recorded,
    versions,
    store,
  }: {
    readonly recorded: RecordingSources
    readonly versions: PolicyVersions
    readonly store: Store
  },
  policies: readonly Policy[],
  sinceMs: number,
): AsyncGenerator<SimulationEvent> {
  const startedMs = performance.now()
  const kept = new Map<number, DecidingPolicies | undefined>()
  const over = await closedBefore(store, sinceMs)
  const isWanted = (session: string): boolean => !isLedgerId(session) && !over.has(session)
  const simulator = new Simulator({
    after: new DecidingPolicies(compiledAgain(policies)),
    before: (version) => kept.get(version),
    sinceMs,
  })
  let entries = 0
  let toldMs = startedMs
  for await (const items of recordingBatches(recorded, '', isWanted)) {
    for (const item of items) {
      if (item.kind === 'problem' || !isWanted(item.session)) continue
      const { entry } = item
      if (entry.kind === 'command' && !kept.has(entry.policyVersion))
        kept.set(entry.policyVersion, await policiesOf(versions, entry.policyVersion))
      simulator.take(item)
      entries += 1
      if (entries % entriesPerTurn === 0) await new Promise(setImmediate)
    }
    if (performance.now() - toldMs < progressEveryMs) continue
    toldMs = performance.now()
    yield { kind: 'progress', commands: simulator.commands }
  }
  const tookMs = Math.round(performance.now() - startedMs)
  yield { kind: 'report', tookMs, ...simulator.report() }
}

/** Undefined where they are not kept, or do not compile any more: then what they said can't be compared. */
async function policiesOf(
  versions: PolicyVersions,
  version: number,
): Promise<DecidingPolicies | undefined> {
  const found = await versions.find(version)
  if (found === undefined) return undefined
  try {
    return new DecidingPolicies(compiledAgain(found.policies))
  } catch {
    return undefined
  }
}

async function closedBefore({ db }: Store, sinceMs: number): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('session')
    .select('id')
    .where('closed_at', '<', new Date(sinceMs))
    .execute()
  return new Set(rows.map(({ id }) => id))
}
