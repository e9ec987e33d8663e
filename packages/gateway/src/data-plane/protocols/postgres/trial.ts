import {
  buildSqlFacts,
  decideGrant,
  decideSelected,
  effectsFactsJson,
  printAllow,
  SallyportError,
  selectRules,
  sessionFactsJson,
  type Chain,
  type Command,
  type CommandId,
  type DecisionId,
  type MaskRule,
} from '@sallyport/core'
import type { TrialRequest, TrialResult } from '../../../boundary/trial.ts'
import { standingRefusal } from '../../agents/standing-refusal.ts'
import { refusalOfGrant } from '../../pipeline/grant-refusal.ts'
import { pooledId } from '../../random-pool.ts'
import type { Catalog } from './catalog.ts'
import type { Classified } from './classify/classified.ts'
import { explainLineage } from './lineage/explain-lineage.ts'
import { isUntouched, lineageRefusal, unreadRefusal } from './lineage/lineage-refusal.ts'
import type { PostgresWorker } from './login.ts'

type Judged = Extract<TrialResult, { kind: 'judged' }>

const trialDecision = 'd_trial' as DecisionId

/** Judges a command as if an agent had sent it, over the target's catalog as it is now. Nothing is sent, recorded or counted. */
export async function tryCommand(
  worker: PostgresWorker,
  request: TrialRequest,
): Promise<TrialResult> {
  try {
    return await judge(worker, request)
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : 'SP_INTERNAL'
    return { kind: 'failed', code, message: error instanceof Error ? error.message : String(error) }
  }
}

async function judge(
  worker: PostgresWorker,
  { connection, agent, level, text }: TrialRequest,
): Promise<TrialResult> {
  const { known } = worker.snapshots
  const config = known.connections.get(connection)
  const chain = worker.agents.chainOf(agent, level)
  if (config === undefined) throw new SallyportError('SP_NOT_FOUND', `no connection ${connection}`)
  if (chain === undefined) throw new SallyportError('SP_NOT_FOUND', `no living agent ${agent}`)
  const trusted = new Set(config.trustedFunctions)
  const catalog = await worker.catalogs.of(config, config.database).load()
  const classified = await worker.classifier.classifyLarge(text, catalog.view(true, trusted))
  const command: Command = {
    id: pooledId<CommandId>('c'),
    effects: classified.effects,
    text,
    // A simple query: its type byte, its length, and a zero at the end.
    bytes: Buffer.byteLength(text) + 6,
    inTransaction: false,
  }
  const askedAtMs = worker.now()
  const about = { connection: config, chain, client: {} }
  const selected = selectRules(known.policies, 'sql', config, chain)
  const facts = buildSqlFacts({ ...about, command, now: new Date(askedAtMs) })
  const { masks } = decideSelected(selected, facts, classified.effects.class === 'unknown')
  const refusal = refusalOf(worker, command, chain, { ...config, nowMs: askedAtMs })
  const { class: effectClass, verb, objects } = classified.effects
  return {
    kind: 'judged',
    policyVersion: known.policyVersion,
    class: effectClass,
    verb,
    objects,
    sessionFacts: sessionFactsJson(about),
    effectsFacts: effectsFactsJson(classified.effects),
    bytes: command.bytes,
    askedAtMs,
    grants: chain.agents.map(({ name, layers }) => ({
      agent: name,
      holds: layers.flatMap(({ permits }) => permits.map(printAllow)),
    })),
    ...(refusal === undefined ? {} : { refusal }),
    ...masked(worker, { text, classified, catalog, masks, chain, trusted, connection }),
  }
}

function refusalOf(
  worker: PostgresWorker,
  { effects }: Command,
  chain: Chain,
  { name, database, nowMs }: { name: string; database: string; nowMs: number },
): string | undefined {
  const agent = chain.agents.at(-1)?.id
  const standing =
    agent === undefined ? undefined : standingRefusal(worker.agents.standing(agent), chain)
  if (standing !== undefined) return standing.message
  const { level } = chain
  const request = { connection: name, effects, database, nowMs, source: '', level }
  const grant = decideGrant(chain, request)
  if (grant.allowed) return undefined
  return refusalOfGrant(grant, { chain, connection: { name } }, trialDecision).message
}

/** What masks would do to the answer. */
function masked(
  worker: PostgresWorker,
  trial: {
    readonly text: string
    readonly classified: Classified
    readonly catalog: Catalog
    readonly masks: readonly MaskRule[]
    readonly chain: Chain
    readonly trusted: ReadonlySet<string>
    readonly connection: string
  },
): Pick<Judged, 'lineage' | 'maskRefusal'> {
  const { text, classified, catalog, masks, chain, trusted, connection } = trial
  if (!masks.some(({ columns }) => columns.length > 0)) return { lineage: [] }
  const names = { isPathKnown: true, trustedFunctions: trusted, unsettled: undefined }
  const isPerson = chain.root.kind === 'human' && chain.agents.length === 1
  const inference = isPerson ? 'observe' : 'block'
  const database = worker.databases.of(catalog.lineage, names, masks, inference)
  if (database.reads(classified) === 'nothing') return { lineage: [] }
  const context = {
    masks: database.masks,
    connection,
    decision: trialDecision,
    inference,
    parameters: [],
    mayLookUp: () => true,
  } as const
  const found = database.statements(text)
  if (found === undefined) return { lineage: [], maskRefusal: unreadRefusal(context).message }
  const touched = found.filter((lineage) => !isUntouched(lineage))
  const lineage = touched.flatMap((one) => explainLineage(one, database.masks, inference))
  const refusal = touched
    .map((one) => lineageRefusal(one, context))
    .find((one) => one !== undefined)
  return refusal === undefined ? { lineage } : { lineage, maskRefusal: refusal.message }
}
