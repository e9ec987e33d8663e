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
    const pieces = api.text('GET /v1/sessions/{session}', { params: { session }, query: { at } })
    return await print(context, pieces, (piece) => piece)
  }
  const isTimed = flags.speed !== undefined || idleLimit !== undefined
  if (text || (!output.isTerminal && !isTimed)) {
    const query = { as: 'text', width: output.columns, at, only } as const
    const shown = (piece: string): string => piece.split('\n').map(visibleText).join('\n')
    const pieces = api.text('GET /v1/sessions/{session}', { params: { session }, query })
    return await print(context, pieces, shown)
  }
  await play(context, api, session, { at, only, speed, idleLimitMs })
  return EXIT.done
}

async function print(
  { output }: VerbContext,
  pieces: AsyncIterable<string>,
  shown: (piece: string) => string,
): Promise<number> {
  for await (const piece of pieces) {
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
    readonly only: 'decisions' | undefined
    readonly speed: number
    readonly idleLimitMs: number
  },
): Promise<void> {
  const isColoured = wantsColours(output.isTerminal)
  const isInteractive = output.isTerminal && process.stdin.isTTY
  const player = new Player(
    {
      open: (at) =>
        new StepFeed((skip) =>
          api.text('GET /v1/sessions/{session}', {
            params: { session },
            query: { as: 'steps', width: output.columns, at, only: how.only, skip },
          }),
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

function speedOf(text: string | undefined): number {
  const speed = Number(text ?? speedDefault)
  if (speed > 0 && speed <= 1000) return speed
  throw usage(`--speed takes a number above 0 and up to 1000; not "${text}"`)
}

function usage(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
