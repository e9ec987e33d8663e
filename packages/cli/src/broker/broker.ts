import { join } from 'node:path'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { SallyportError, type ErrorCode } from '@sallyport/core'
import { Anchors, type AnchorKind } from './anchors.ts'
import { serveControl } from './control.ts'
import { HeldAgent } from './held-agent.ts'
import { isAlive, type ProcessKey } from './processes.ts'
import type { Adoption, Finding, HomeReply } from './protocol.ts'
import { serveSession } from './session.ts'
import type { SystemCalls } from './system-calls.ts'

/** Three of these may be lost before the gateway gives the agent up. */
const beatMs = 15_000
/** The newest are enough to see what goes on. */
const findingsMax = 100

/** What a wrapper is told of its agent. */
export type StateListener = (code: ErrorCode, message: string) => void

/** Holds the handles of one user on one host, and serves their agents' sockets. */
export class Broker {
  readonly folder: string
  /** Absent where the system cannot say who is at a socket. */
  readonly calls: SystemCalls | undefined
  readonly uncheckedBecause: string | undefined
  readonly anchors = new Anchors()
  readonly agents = new Map<string, HeldAgent>()
  readonly findings: Finding[] = []
  readonly startedAt = new Date()
  hidden = false
  readonly #listeners = new Map<string, StateListener>()
  readonly #timer: NodeJS.Timeout

  constructor(folder: string, calls: SystemCalls | string) {
    this.folder = folder
    this.calls = typeof calls === 'string' ? undefined : calls
    this.uncheckedBecause = typeof calls === 'string' ? calls : undefined
    this.#timer = setInterval(() => this.#beatAll(), beatMs)
    this.#timer.unref()
    this.#rememberLost()
  }

  /** Takes an agent over: its handle, its sockets, and the process that stands for it. */
  async adopt(
    adoption: Adoption,
    parent: HeldAgent | undefined,
    anchor?: { readonly process: ProcessKey; readonly kind: AnchorKind },
  ): Promise<HeldAgent> {
    const agent = new HeldAgent(adoption, parent, this.folder)
    if (anchor !== undefined) this.anchor(agent, anchor.process, anchor.kind)
    this.agents.set(agent.id, agent)
    try {
      await agent.openSockets(
        (socket) => this.serveControl(socket),
        (socket, connection) => void serveSession(this, agent, connection, socket),
      )
      if (anchor?.kind === 'run') {
        const { pid, startTime } = anchor.process
        writeFileSync(join(agent.folder, 'anchor'), `${pid} ${startTime} ${agent.view.name}\n`)
      }
      return agent
    } catch (error) {
      await this.end(agent)
      throw error
    }
  }

  anchor(agent: HeldAgent, process: ProcessKey, kind: AnchorKind): void {
    this.anchors.add(process, agent.id, kind)
    if (kind === 'run') agent.wrapperStart = process.startTime
  }

  serveControl(socket: Socket): void {
    serveControl(this, socket)
  }

  /** What the agent's programs need to know; no secret is among it. */
  homeOf(agent: HeldAgent, cut: readonly string[] = []): HomeReply {
    const { view, folder, connections } = agent
    const level = this.calls === undefined || !this.anchors.has(agent.id) ? 2 : 3
    return { agent: view, folder, connections, level, cut }
  }

  onState(agent: HeldAgent, listener: StateListener): void {
    this.#listeners.set(agent.id, listener)
  }

  /** The wrapper is gone, or somebody asked for the end: at the gateway first, then here, with all below. */
  async end(agent: HeldAgent): Promise<void> {
    const below = [...this.agents.values()].filter((each) => each.isBelow(agent))
    for (const each of [agent, ...below]) {
      this.agents.delete(each.id)
      each.close()
      if (each !== agent) {
        this.#listeners.get(each.id)?.(
          'SP_AGENT_ENDED',
          `${agent.chain}, which is above this agent, has ended`,
        )
      }
      this.#listeners.delete(each.id)
    }
    try {
      await (await agent.api()).call('POST /v1/agents/{id}/end', { params: { id: agent.id } })
    } catch {
      // The gateway is away, or ended it itself; without beats it gives it up anyway.
    }
  }

  /** S5: somebody was at a socket that is not theirs. */
  report(text: string): void {
    this.findings.push({ rule: 'S5', at: new Date().toISOString(), text })
    if (this.findings.length > findingsMax) this.findings.shift()
  }

  /** Stops the agent that reached for another's socket; never the one whose socket it was. */
  freezeStranger(stranger: HeldAgent, owner: HeldAgent): void {
    const reason = `S5: a process of it was at the socket of ${owner.view.name}`
    const freeze = async (): Promise<void> => {
      const api = await stranger.api()
      await api.call('POST /v1/agents/{id}/freeze', {
        params: { id: stranger.id },
        body: { reason },
      })
    }
    freeze().catch((error: unknown) =>
      this.report(`freezing ${stranger.chain} failed: ${String(error)}`),
    )
  }

  stop(): void {
    clearInterval(this.#timer)
    for (const agent of this.agents.values()) agent.close()
  }

  #beatAll(): void {
    this.anchors.forgetGone(isAlive)
    for (const agent of this.agents.values()) void this.#beat(agent)
  }

  async #beat(agent: HeldAgent): Promise<void> {
    try {
      await (await agent.api()).call('POST /v1/agents/{id}/beat', { params: { id: agent.id } })
    } catch (error) {
      if (error instanceof SallyportError) this.stateChanged(agent, error)
    }
  }

  /** The gateway refused the agent itself: its wrapper says so, and what has no wrapper goes, a login too. */
  stateChanged(agent: HeldAgent, error: SallyportError): void {
    if (!['SP_AGENT_REVOKED', 'SP_AGENT_ENDED', 'SP_AGENT_FROZEN'].includes(error.code)) return
    this.#listeners.get(agent.id)?.(error.code, error.message)
    if (error.code !== 'SP_AGENT_FROZEN' && !this.anchors.hasWrapper(agent.id)) {
      this.agents.delete(agent.id)
      agent.close()
    }
  }

  /** Wrappers that an earlier broker served are still there, but who they were is lost: nothing below them is anybody. */
  #rememberLost(): void {
    for (const name of readdirSync(this.folder)) {
      if (!name.startsWith('a_')) continue
      const folder = join(this.folder, name)
      const [pid = '', startTime = '', ...words] = readOrEmpty(join(folder, 'anchor'))
        .trim()
        .split(' ')
      const key = { pid: Number(pid), startTime: Number(startTime) }
      if (key.pid > 0 && isAlive(key)) this.anchors.end(key, words.join(' '))
      else rmSync(folder, { recursive: true, force: true })
    }
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
