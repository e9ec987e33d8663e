import type { Socket } from 'node:net'
import { SallyportError } from '@sallyport/core'
import type { Above } from './anchors.ts'
import type { Broker } from './broker.ts'
import type { HeldAgent } from './held-agent.ts'
import { callerOf } from './identify.ts'
import { readLines } from './lines.ts'
import { ancestryOf, childrenOf, type ProcessFacts, readProcess } from './processes.ts'
import type {
  Adoption,
  BrokerReply,
  BrokerRequest,
  ChildAsk,
  GatewayPlace,
  StatusReply,
  WhoReply,
} from './protocol.ts'

/** What the API is asked for through the broker. Children are not among it: their handles stay in here. */
const passedOn = [
  /^GET \/v1\/agents(\/[\w-]+(\/(tree|budget))?)?$/,
  /^GET \/v1\/break-glass$/,
  /^POST \/v1\/break-glass(\/bg_\w+\/end)?$/,
  /^POST \/v1\/agents\/[\w-]+\/(credentials|tickets|narrow|renew|end|revoke|freeze|unfreeze)$/,
]

interface Caller {
  readonly process: ProcessFacts
  readonly above: Above
}

/** Serves one connection to a control socket: a request a line, a reply a line. */
export function serveControl(broker: Broker, socket: Socket): void {
  const say = (reply: BrokerReply): void => {
    if (socket.writable) socket.write(`${JSON.stringify(reply)}\n`)
  }
  socket.on('error', () => socket.destroy())
  let who: ReturnType<typeof callerOf>
  try {
    who = callerOf(broker, socket)
  } catch (error) {
    say(failureOf(error))
    socket.end()
    return
  }
  const session = new ControlSession(broker, say)
  let turn: Promise<void> = Promise.resolve()
  readLines(socket, (line) => {
    turn = turn.then(async () => {
      try {
        const request = JSON.parse(line) as BrokerRequest
        say({ ok: true, result: (await session.answer(request, who(request.pid))) ?? null })
      } catch (error) {
        say(failureOf(error))
      }
    })
  })
  socket.on('close', () => void turn.then(async () => await session.lost()))
  socket.resume()
}

/** One caller; a wrapper's connection lasts as long as its agent. */
class ControlSession {
  readonly #broker: Broker
  readonly #say: (reply: BrokerReply) => void
  #running:
    | { readonly agent: HeldAgent; readonly wrapper: ProcessFacts; readonly above: Above }
    | undefined
  #leftEmpty = false

  constructor(broker: Broker, say: (reply: BrokerReply) => void) {
    this.#broker = broker
    this.#say = say
  }

  async answer(request: BrokerRequest, caller: Caller): Promise<unknown> {
    switch (request.op) {
      case 'who':
        return this.#who(caller.above)
      case 'login':
        return await this.#login(caller, request.adopt)
      case 'attach':
        return this.#attach(caller, request.gateway)
      case 'logout':
        return await this.#logout(caller)
      case 'run':
        return await this.#run(caller, request.ask, request.adopt)
      case 'started':
        return this.#started(request.child)
      case 'leave':
        return await this.#leave()
      case 'spawn': {
        const parent = this.#agentOf(caller.above)
        const { adoption, cut } = await spawnChild(parent, request.ask)
        return this.#broker.homeOf(await this.#broker.adopt(adoption, parent), cut)
      }
      case 'home':
        return this.#broker.homeOf(this.#agentOf(caller.above))
      case 'api':
        return await this.#api(caller.above, request)
      case 'status':
        return this.#status()
    }
  }

  #who(above: Above): WhoReply {
    const agent = above.kind === 'agent' ? this.#broker.agents.get(above.agent) : undefined
    if (above.kind === 'ended') return { above: 'ended', agent: above.name }
    if (above.kind === 'none' || agent === undefined) return { above: 'none' }
    const { id, view, gateway } = agent
    return {
      above: above.born === 'login' ? 'login' : 'agent',
      agent: id,
      chain: view.chain,
      gateway,
    }
  }

  async #login(caller: Caller, adopt: Adoption): Promise<unknown> {
    refuseInside(caller.above)
    const leader = sessionLeader(caller.process)
    const agent = await this.#broker.adopt(adopt, undefined, { process: leader, kind: 'login' })
    return this.#broker.homeOf(agent)
  }

  /** A further terminal of somebody who is logged in already. */
  #attach(caller: Caller, gateway: GatewayPlace): unknown {
    refuseInside(caller.above)
    // Elsewhere only the identity provider can say that it is the same person.
    if ('url' in gateway) return null
    const root = [...this.#broker.agents.values()].find(
      (agent) =>
        agent.parent === undefined &&
        agent.view.born === 'login' &&
        JSON.stringify(agent.gateway) === JSON.stringify(gateway) &&
        Date.parse(agent.view.expiresAt) > Date.now(),
    )
    if (root === undefined) return null
    this.#broker.anchor(root, sessionLeader(caller.process), 'login')
    return this.#broker.homeOf(root)
  }

  async #logout(caller: Caller): Promise<unknown> {
    refuseInside(caller.above)
    const roots = [...this.#broker.agents.values()].filter((agent) => agent.parent === undefined)
    await Promise.all(roots.map(async (root) => await this.#broker.end(root)))
    return { ended: roots.map((root) => root.chain) }
  }

  async #run(caller: Caller, ask: ChildAsk, adopt: Adoption | undefined): Promise<unknown> {
    const anchor = { process: caller.process, kind: 'run' } as const
    const parent = adopt === undefined ? this.#agentOf(caller.above) : undefined
    const { adoption, cut } =
      parent === undefined ? { adoption: mustBe(adopt), cut: [] } : await spawnChild(parent, ask)
    const agent = await this.#broker.adopt(adoption, parent, anchor)
    this.#running = { agent, wrapper: caller.process, above: caller.above }
    this.#broker.onState(agent, (code, message) => this.#say({ event: 'state', code, message }))
    return this.#broker.homeOf(agent, cut)
  }

  #started(child: number): unknown {
    const facts = readProcess(child)
    const wrapper = this.#running?.wrapper
    if (wrapper !== undefined && facts?.parent === wrapper.pid) {
      this.#broker.anchors.setCommand(wrapper, facts)
    }
    return null
  }

  /** The command has ended. With no process left below the wrapper, nothing of the agent can go on. */
  async #leave(): Promise<unknown> {
    const left = this.#running === undefined ? [] : childrenOf(this.#running.wrapper.pid)
    this.#leftEmpty = left.length === 0
    await this.lost()
    return { left: left.length }
  }

  /** The connection is closed: for a wrapper, that is the end of its agent. */
  async lost(): Promise<void> {
    if (this.#running === undefined) return
    const { agent, wrapper, above } = this.#running
    this.#running = undefined
    this.#broker.anchors.end(wrapper, agent.chain)
    if (!this.#leftEmpty && above.kind === 'agent') {
      this.#broker.anchors.distrustOrphans(above.agent, wrapper.startTime, agent.chain)
    }
    await this.#broker.end(agent)
  }

  async #api(above: Above, request: Extract<BrokerRequest, { op: 'api' }>): Promise<unknown> {
    const agent = this.#agentOf(above)
    const { method, path, body } = request
    if (!passedOn.some((pattern) => pattern.test(`${method} ${path}`))) {
      throw new SallyportError('SP_NOT_FOUND', `the broker does not pass on ${method} ${path}`)
    }
    return await (await agent.api()).send({ method, path, body })
  }

  #status(): StatusReply {
    const { folder, startedAt, uncheckedBecause, agents, findings, hidden } = this.#broker
    return {
      pid: process.pid,
      since: startedAt.toISOString(),
      folder,
      ...(uncheckedBecause === undefined ? {} : { uncheckedBecause }),
      hidden,
      agents: [...agents.values()].map(({ id, view }) => ({
        id,
        chain: view.chain,
        state: view.state,
      })),
      findings,
    }
  }

  #agentOf(above: Above): HeldAgent {
    const agent = above.kind === 'agent' ? this.#broker.agents.get(above.agent) : undefined
    if (agent !== undefined) return agent
    if (above.kind === 'none') {
      throw new SallyportError('SP_NO_PARENT', 'none of the processes above this one is an agent')
    }
    const name = above.kind === 'ended' ? above.name : above.agent
    throw new SallyportError('SP_AGENT_ENDED', `this process belongs to ${name}, which has ended`)
  }
}

async function spawnChild(
  parent: HeldAgent,
  ask: ChildAsk,
): Promise<{ adoption: Adoption; cut: readonly string[] }> {
  const api = await parent.api()
  const { agent, handle, cut } = await api.call('POST /v1/agents/{id}/children', {
    params: { id: parent.id },
    body: ask,
  })
  return { adoption: { agent, handle, gateway: parent.gateway }, cut }
}

/** The terminal of a person: its session leader stands for them. */
function sessionLeader(process: ProcessFacts): ProcessFacts {
  const leader = ancestryOf(process.pid)?.find((each) => each.pid === process.session)
  if (leader !== undefined && leader.pid !== process.pid) return leader
  throw new SallyportError(
    'SP_NO_PARENT',
    'no terminal session stands above this process, so nobody could be told apart by it',
  )
}

function refuseInside(above: Above): void {
  if (above.kind === 'none' || (above.kind === 'agent' && above.born === 'login')) return
  const name = above.kind === 'ended' ? above.name : above.agent
  throw new SallyportError('SP_LOGIN_INSIDE_AGENT', `this process is inside agent ${name}`)
}

function mustBe(adoption: Adoption | undefined): Adoption {
  if (adoption !== undefined) return adoption
  throw new SallyportError('SP_NO_PARENT', 'there is neither a parent nor a ticket')
}

function failureOf(error: unknown): BrokerReply {
  const known = error instanceof SallyportError
  const message = error instanceof Error ? error.message : String(error)
  const code = known ? error.code : 'SP_INTERNAL'
  const detail = known ? error.detail : undefined
  return { ok: false, error: { code, message, ...(detail === undefined ? {} : { detail }) } }
}
