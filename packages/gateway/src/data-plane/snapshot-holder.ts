import {
  compilePolicies,
  factSchema,
  MaskKey,
  type Chain,
  type CompiledPolicies,
} from '@sallyport/core'
import type { ConnectionConfig, Snapshot } from '../boundary/snapshot.ts'
import { celConditions } from '../conditions/cel-conditions.ts'

/** What a worker knows, indexed. Replaced whole when a new snapshot arrives. */
export interface Known {
  readonly version: number
  readonly policyVersion: number
  readonly connections: ReadonlyMap<string, ConnectionConfig>
  readonly policies: CompiledPolicies
  readonly maskKey: Buffer
  readonly approvalUrl: string | undefined
}

/** Holds the newest snapshot, and knows when it is too old to decide by. */
export class SnapshotHolder {
  readonly #staleAfterMs: number
  readonly #now: () => number
  #known: Known
  #heardAtMs: number

  constructor(snapshot: Snapshot, staleAfterMs: number, now: () => number) {
    this.#staleAfterMs = staleAfterMs
    this.#now = now
    this.#known = index(snapshot)
    this.#heardAtMs = now()
  }

  get known(): Known {
    return this.#known
  }

  /** True when the control plane has been silent for so long that a revocation may have been missed. */
  get isStale(): boolean {
    return this.#now() - this.#heardAtMs > this.#staleAfterMs
  }

  /** Throws, and keeps the old one, where a policy does not compile. */
  replace(snapshot: Snapshot): void {
    if (snapshot.version <= this.#known.version) return
    this.#known = index(snapshot)
    this.#heardAtMs = this.#now()
  }

  /** A heartbeat counts only when it speaks of what this worker has. */
  beat(snapshotVersion: number): void {
    if (snapshotVersion === this.#known.version) this.#heardAtMs = this.#now()
  }
}

function index(snapshot: Snapshot): Known {
  const result = compilePolicies(snapshot.policies, celConditions, factSchema)
  if (result.kind === 'refused') {
    const first = result.problems[0]
    throw new Error(`policy ${first?.policy}/${first?.rule}: ${first?.problem.message}`)
  }
  return {
    version: snapshot.version,
    policyVersion: snapshot.policyVersion,
    connections: new Map(snapshot.connections.map((connection) => [connection.name, connection])),
    policies: result.compiled,
    maskKey: Buffer.from(snapshot.maskKey, 'base64'),
    approvalUrl: snapshot.approvalUrl,
  }
}

/** Equal values stay equal within one tree of agents, and can't be compared between trees. */
export function maskKeyOf(known: Known, chain: Chain): MaskKey {
  return MaskKey.derive(known.maskKey, chain.agents[0]?.id ?? '')
}
