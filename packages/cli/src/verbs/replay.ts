import { setTimeout as sleep } from 'node:timers/promises'
import { SallyportError, visibleText } from '@sallyport/core'
import type { VerbContext } from '../context.ts'
import { parseDuration } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayApi } from '../gateway-api.ts'
import { drained } from '../replay/drained.ts'
import { keysHelp, Player } from '../replay/player.ts'
import { stepLines, wantsColours } from '../replay/show-step.ts'
import { StepFeed } from '../replay/step-feed.ts'
import { listenForKeys } from '../replay/terminal-keys.ts'

export interface ReplayFlags {
  readonly at?: string
  readonly only?: string
  readonly speed?: string
  readonly idleLimit?: string
  readonly text: boolean
}

const speedDefault = 1
const idleLimitDefault = '2s'

/** Plays a recording on a terminal; prints it elsewhere, or as JSON lines where asked for. */
export async function replay(
  context: VerbContext,
  session: string,
  flags: ReplayFlags,
): Promise<number> {
  const { output } = context
  const { at, only, text, idleLimit } = flags
  if (only !== undefined && only !== 'decisions')
    throw usage(`--only takes "decisions"; not "${only}"`)
  const speed = speedOf(flags.speed)
  const idleLimitMs = parseDuration(idleLimit ?? idleLimitDefault)
  const api = await context.api()
  if (output.form !== undefined && output.form !== 'table') {
    if (only !== undefined) throw usage('--only is for what people read; search the JSON instead')
    return await print(context, api, pathOf(session, { at }), (piece) => piece)
  }
  const isTimed = flags.speed !== undefined || idleLimit !== undefined
  if (text || (!output.isTerminal && !isTimed)) {
    const asked = { as: 'text', width: String(output.columns), at, only }
    const shown = (piece: string): string => piece.split('\n').map(visibleText).join('\n')
    return await print(context, api, pathOf(session, asked), shown)
  }
  await play(context, api, session, { at, only, speed, idleLimitMs })
  return EXIT.done
}

async function print(
  { output }: VerbContext,
  api: GatewayApi,
  path: string,
  shown: (piece: string) => string,
): Promise<number> {
  for await (const piece of api.text(path)) {
    output.data(shown(piece))
    await drained()
  }
  return EXIT.done
}

async function play(
  { output }: VerbContext,
  api: GatewayApi,
  session: string,
  how: {
    readonly at: string | undefined
    readonly only: string | undefined
    readonly speed: number
    readonly idleLimitMs: number
  },
): Promise<void> {
  const isColoured = wantsColours(output.isTerminal)
  const isInteractive = output.isTerminal && process.stdin.isTTY
  const width = String(output.columns)
  const player = new Player(
    {
      open: (at) =>
        new StepFeed((skip) =>
          api.text(pathOf(session, { as: 'steps', width, at, only: how.only, skip: String(skip) })),
        ),
      show: (step) => output.data(stepLines(step, isColoured)),
      say: (line) => output.say(`── ${line}\n`),
      sleep: async (ms, signal) => await sleepAtMost(ms, signal),
    },
    { at: how.at, speed: how.speed, idleLimitMs: how.idleLimitMs, isInteractive },
  )
  if (!isInteractive) return await player.run()
  output.say(`── ${keysHelp}\n`)
  using _keys = listenForKeys(process.stdin, (key) => player.key(key))
  await player.run()
}

/** A timer's longest; without end where nothing but a key leads on. */
const sleepMsMax = 2 ** 31 - 1

async function sleepAtMost(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(ms, sleepMsMax), undefined, { signal }).catch(() => undefined)
}

function pathOf(session: string, asked: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(asked)) if (value !== undefined) query.set(name, value)
  return `/v1/sessions/${encodeURIComponent(session)}?${query.toString()}`
}

function speedOf(text: string | undefined): number {
  const speed = Number(text ?? speedDefault)
  if (speed > 0 && speed <= 1000) return speed
  throw usage(`--speed takes a number above 0 and up to 1000; not "${text}"`)
}

function usage(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
