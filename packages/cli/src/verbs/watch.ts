import { SallyportError } from '@sallyport/core'
import type { LiveLine } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable } from '../output.ts'
import { drained } from '../replay/drained.ts'
import { stepLines, wantsColours } from '../replay/show-step.ts'
import { linesOf } from '../replay/step-feed.ts'
import { listenForKeys, type Key } from '../replay/terminal-keys.ts'
import { stopAgent } from './stop-agents.ts'

type LiveSession = Extract<LiveLine, { kind: 'session' }>

const keysHelp = 'k kills · f freezes · q quits'
const shortId = 7

/** Shows what is recorded from now on, until the session is over, the gateway stops, or somebody quits. */
export async function watch(
  context: VerbContext,
  what: string,
  only: string | undefined,
): Promise<number> {
  const { output } = context
  if (only !== undefined && only !== 'decisions') {
    const detail = `--only takes "decisions"; not "${only}"`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  const api = await context.api()
  const isText = output.form === undefined || output.form === 'table'
  if (!isText && only !== undefined) {
    const detail = '--only is for what people read; search the JSON instead'
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  const query = {
    of: what,
    as: isText ? 'steps' : 'ndjson',
    width: isText ? output.columns : undefined,
    only,
  } as const
  const view = new View(context, what)
  const isInteractive = isText && output.isTerminal && process.stdin.isTTY
  const leaving = new AbortController()
  using _keys = isInteractive
    ? listenForKeys(process.stdin, (key) => view.key(key, () => leaving.abort()))
    : undefined
  if (isInteractive) output.say(`── ${keysHelp}\n`)
  const lines = linesOf(api.live(leaving.signal, 'GET /v1/watch', { query }))
  return await follow(lines, view, { isText, leaving: leaving.signal })
}

async function follow(
  lines: AsyncIterable<string>,
  view: View,
  { isText, leaving }: { readonly isText: boolean; readonly leaving: AbortSignal },
): Promise<number> {
  try {
    for await (const text of lines) {
      const line = JSON.parse(text) as LiveLine
      if (isText) view.show(line)
      else view.print(line, text)
      await drained()
      if (line.kind === 'end') return line.reason === overText ? EXIT.done : EXIT.unreachable
    }
  } catch (error) {
    if (leaving.aborted) return EXIT.done
    if (error instanceof SallyportError) throw error
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway went away', { cause: error })
  }
  throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway went away')
}

/** What a view of one session ends with. */
const overText = 'the session is over'

/** What is shown on a terminal, and what its keys do. */
class View {
  readonly #context: VerbContext
  readonly #what: string
  readonly #isColoured: boolean
  readonly #sessions = new Map<string, LiveSession>()
  /** The session that was shown last. */
  #last: LiveSession | undefined
  #asked: { readonly action: 'revoke' | 'freeze'; readonly agent: string } | undefined

  constructor(context: VerbContext, what: string) {
    this.#context = context
    this.#what = what
    this.#isColoured = wantsColours(context.output.isTerminal)
  }

  /** JSON as it came, but for what only says that the gateway is there. */
  print(line: LiveLine, text: string): void {
    if (line.kind !== 'alive') this.#context.output.data(`${text}\n`)
  }

  show(line: LiveLine): void {
    if (line.kind === 'session') {
      this.#sessions.set(line.id, line)
      this.#last ??= line
      this.#say(`${line.id}  ${chainOf(line)}  ${line.connection}/${line.database}`)
    } else if (line.kind === 'gap') {
      const [first] = line.sessions
      const where =
        first === undefined ? '' : `: sallyport replay ${first.session} --at '#${first.seq}'`
      const many = line.sessions.length === 1 ? '1 session' : `${line.sessions.length} sessions`
      this.#say(`fell behind: ${line.entries} entries of ${many} are not shown here${where}`)
    } else if (line.kind === 'end') this.#say(line.reason)
    else if (line.kind !== 'alive') this.#step(line)
  }

  #say(line: string): void {
    this.#context.output.say(`── ${printable(line)}\n`)
  }

  #step(step: Exclude<LiveLine, { kind: 'alive' | 'session' | 'gap' | 'end' }>): void {
    const { session = '' } = step
    this.#last = this.#sessions.get(session) ?? this.#last
    const lines = stepLines(step, this.#isColoured)
    // Steps of several sessions stand between each other.
    const isOne = this.#what.startsWith('s_')
    this.#context.output.data(isOne ? lines : named(session.slice(0, shortId), lines))
    if (step.kind === 'session.closed') this.#sessions.delete(session)
  }

  key(key: Key, leave: () => void): void {
    const asked = this.#asked
    this.#asked = undefined
    if (key === 'interrupt' || (key === 'q' && asked === undefined)) return leave()
    if (asked !== undefined) {
      if (key === 'y') void this.#stop(asked.action, asked.agent)
      else this.#say('left alone')
      return
    }
    if (key !== 'k' && key !== 'f') return
    const target = this.#target()
    if (target === undefined) return this.#say('nobody was seen yet')
    const action = key === 'k' ? 'revoke' : 'freeze'
    this.#asked = { action, agent: target.agent }
    const word = key === 'k' ? 'kill' : 'freeze'
    this.#say(`${word} ${target.name} and all below it? y does, any other key does not`)
  }

  /** The agent that is watched, where one is; else that of the session that was shown last. */
  #target(): { readonly agent: string; readonly name: string } | undefined {
    if (/^a_[0-9a-z]+$/iu.test(this.#what)) return { agent: this.#what, name: this.#what }
    const last = this.#last
    const agent = last?.chain.at(-1)
    if (last === undefined || agent === undefined || agent.id === '') return undefined
    return { agent: agent.id, name: `${agent.id} (${chainOf(last)})` }
  }

  async #stop(action: 'revoke' | 'freeze', agent: string): Promise<void> {
    try {
      await stopAgent(this.#context, action, agent, 'while it was watched')
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#say(`it was not done: ${message}`)
    }
  }
}

/** With the name before each line but those that go on with the line above. */
function named(name: string, lines: string): string {
  const isNamed = (line: string): boolean => line !== '' && !line.startsWith(' ')
  return lines
    .split('\n')
    .map((line) => (isNamed(line) ? `${name} ${line}` : line))
    .join('\n')
}

function chainOf({ chain }: LiveSession): string {
  return chain.map(({ name }) => name).join(' › ')
}
