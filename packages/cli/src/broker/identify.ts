import type { Socket } from 'node:net'
import { type ErrorCode, SallyportError } from '@sallyport/core'
import type { Above } from './anchors.ts'
import type { Broker } from './broker.ts'
import type { HeldAgent } from './held-agent.ts'
import {
  ancestryOf,
  type Evidence,
  evidenceOf,
  type ProcessFacts,
  readProcess,
} from './processes.ts'

/** A process at a socket, as the system tells it. */
export interface KnownPeer {
  readonly process: ProcessFacts
  readonly ancestry: readonly ProcessFacts[]
  readonly evidence: Evidence
}

/** Whose session this becomes. */
export interface Identified {
  readonly agent: HeldAgent
  readonly level: number
  readonly evidence?: Evidence
}

/** Looks who is at the other end. Undefined where this system cannot tell. */
export function peerOf(broker: Broker, socket: Socket): KnownPeer | undefined {
  if (broker.calls === undefined) return undefined
  const peer = broker.calls.peerOf(socket)
  if (peer === undefined || peer.pid === 0)
    throw refused('SP_NO_PARENT', 'the system does not say who you are')
  if (peer.uid !== process.getuid?.()) {
    peer.stillThere()
    throw refused('SP_NO_PARENT', 'this broker serves one user, and you are another')
  }
  const ancestry = ancestryOf(peer.pid)
  const evidence = ancestry === undefined ? undefined : evidenceOf(ancestry, peer.uid)
  const own = ancestry?.[0]
  // Read first, then asked whether it is still the same process: a number may be used again.
  if (!peer.stillThere() || ancestry === undefined || evidence === undefined || own === undefined) {
    throw refused('SP_NO_PARENT', 'your process went away while it was looked at')
  }
  return { process: own, ancestry, evidence }
}

/** The peer of a control socket; where the system cannot tell, what it says of itself. */
export function callerOf(
  broker: Broker,
  socket: Socket,
): (claimed: number) => { process: ProcessFacts; above: Above } {
  const known = peerOf(broker, socket)
  return (claimed) => {
    const ancestry = known?.ancestry ?? ancestryOf(claimed, readProcess)
    const own = ancestry?.[0]
    if (ancestry === undefined || own === undefined) {
      throw refused('SP_NO_PARENT', 'your process cannot be found')
    }
    return { process: own, above: broker.anchors.find(ancestry) }
  }
}

/**
 * Decides whose session a connection to the socket of `owner` becomes.
 * The nearest anchor decides; a descendant of the owner stays the descendant, so nobody climbs through a borrowed socket.
 */
export function identify(broker: Broker, socket: Socket, owner: HeldAgent): Identified {
  const peer = peerOf(broker, socket)
  if (peer === undefined) return { agent: owner, level: 2 }
  const { evidence } = peer
  const above = broker.anchors.find(peer.ancestry)
  if (above.kind === 'ended') {
    throw refused('SP_AGENT_ENDED', `your process belongs to ${above.name}, which has ended`)
  }
  const caller = above.kind === 'agent' ? broker.agents.get(above.agent) : undefined
  if (caller === undefined || above.kind !== 'agent') {
    broker.report(
      `process ${peer.process.pid} (${peer.process.name}), which is below no agent, was at the socket of ${owner.chain}`,
    )
    throw refused('SP_NO_PARENT', 'this socket serves processes that "sallyport run" started')
  }
  if (caller === owner || caller.isBelow(owner)) return { agent: caller, level: 3, evidence }
  // A child that was made for a program to start has no process of its own that could be proven.
  if (owner.isBelow(caller) && !broker.anchors.has(owner.id)) {
    return { agent: owner, level: 2, evidence }
  }
  broker.report(
    `process ${peer.process.pid} (${peer.process.name}) of ${caller.chain} was at the socket of ${owner.chain}`,
  )
  // Its own ancestor is not stopped: it holds more anyway. Nor is a person's terminal.
  if (!owner.isBelow(caller) && above.born === 'run') broker.freezeStranger(caller, owner)
  throw refused('SP_CREDENTIAL_SHARED', 'S5: this socket belongs to another agent')
}

function refused(code: ErrorCode, detail: string): SallyportError {
  return new SallyportError(code, detail, { detail })
}
