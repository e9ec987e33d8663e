import { SallyportError } from '@sallyport/core'
import type { AgentContext } from './agent-context.ts'
import { type AgentNode, describe, isLive } from './agent-node.ts'
import type { Findings } from './findings.ts'
import { handleOf, type HandleNode, isFirstOfFamily, roamingNetworkOf } from './handles.ts'
import { Rates } from '../rates.ts'

/** How a handle was shown. */
export interface HandleUse {
  /** Of the key that signed the request, where one did. */
  readonly thumbprint?: string
  /** Address of the peer, where it is known. */
  readonly source?: string
}

/** Whoever has stolen a handle can be refused as often as it likes; what is kept of it is bounded. */
const findingRate = { perSecond: 0.1, burst: 10 }

/** Lets agents in by their handles, and notices where somebody else holds one. */
export class HandleDoors {
  readonly #context: AgentContext
  readonly #findings: Findings
  readonly #onFault: (error: unknown) => void
  readonly #kept = new Rates(findingRate)

  constructor(context: AgentContext, findings: Findings, onFault: (error: unknown) => void) {
    this.#context = context
    this.#findings = findings
    this.#onFault = onFault
  }

  /** Undefined for what is no handle, or is shown without its key (S8). Throws where it appears in a new network (S9). */
  nodeOf(text: string, shown: HandleUse): AgentNode | undefined {
    const handle = handleOf(this.#context.handles, text)
    if (handle === undefined) return undefined
    if (handle.boundTo !== undefined && handle.boundTo !== shown.thumbprint) {
      this.#keepOne(handle, () => this.#findings.withoutKey(handle, shown))
      return undefined
    }
    this.#lookWhere(handle, shown)
    return handle.agent
  }

  /** S8: the proof of a request came twice; it is refused, and whoever sent it may not have the key. */
  replayed(text: string, shown: HandleUse): void {
    const handle = handleOf(this.#context.handles, text)
    if (handle !== undefined)
      this.#keepOne(handle, () => this.#findings.proofReplayed(handle, shown))
  }

  #lookWhere(handle: HandleNode, shown: HandleUse): void {
    const network = roamingNetworkOf(shown.source ?? '')
    if (network === undefined || handle.networks.includes(network)) return
    const before = handle.networks
    // Each network counts once: a person who releases the agent has looked at it.
    handle.networks = [...before, network].slice(-networksMax)
    this.#remember(handle)
    if (isFirstOfFamily(network, before)) return
    // Whoever has the key as well is no thief of a handle: people move.
    const isBound = handle.boundTo !== undefined
    this.#findings.newNetwork(handle, before, shown, isBound ? 'observe' : 'freeze')
    if (isBound || !isLive(handle.agent)) return
    const detail = `${describe(handle.agent)} was frozen by S9: its handle was used from a new network`
    throw new SallyportError('SP_AGENT_FROZEN', detail, { detail })
  }

  #remember({ id, networks }: HandleNode): void {
    const { store } = this.#context
    store
      .durable((tx) =>
        tx
          .updateTable('agent_handle')
          .set({ networks: [...networks] })
          .where('id', '=', id)
          .execute(),
      )
      .catch(this.#onFault)
  }

  #keepOne({ agent }: HandleNode, keep: () => void): void {
    if (this.#kept.wait(agent.id, this.#context.now()) === 0) keep()
  }
}

/** Beyond it the oldest are forgotten, and count again. */
const networksMax = 16
