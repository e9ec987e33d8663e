import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Step } from '@sallyport/gateway'
import { Player } from './player.ts'
import { StepFeed } from './step-feed.ts'
import { keysIn } from './terminal-keys.ts'

/** Ten commands a second apart, each answered after 100 ms; #3 and #7 are blocked. The last waits an hour. */
const recording: readonly Step[] = Array.from({ length: 10 }, (_, at) => at + 1).flatMap((seq) => {
  const atMs = seq * 1000 + (seq === 10 ? 3_600_000 : 0)
  const decision = seq === 3 || seq === 7 ? ({ decision: 'blocked' } as const) : {}
  return [
    { kind: 'command', seq, atMs, ...decision, text: `run ${seq}\n` },
    { kind: 'response.end', seq, atMs: atMs + 100, text: `end ${seq}\n` },
  ] as const
})

interface Played {
  readonly shown: string[]
  readonly said: string[]
  readonly slept: number[]
  readonly player: Player
}

/** `press` is asked whenever the player waits, and may press a key. */
function stage(
  options: { readonly at?: string; readonly speed?: number; readonly isInteractive?: boolean },
  press: (played: Played) => string | undefined = () => undefined,
): Played {
  const shown: string[] = []
  const said: string[] = []
  const slept: number[] = []
  const open = (at: string | undefined): { next(): Promise<Step | undefined> } => {
    const from = at === undefined ? 1 : Number(at.slice(1))
    const rest = recording.filter(({ seq }) => (seq ?? 0) >= from)
    return { next: async () => await Promise.resolve(rest.shift()) }
  }
  const player = new Player(
    {
      open,
      show: ({ text }) => void shown.push(text.trim()),
      say: (line) => void said.push(line),
      sleep: async (ms, signal) => {
        const key = press(played)
        if (key !== undefined) player.key(key)
        if (!signal.aborted) slept.push(Math.round(ms))
        if (ms === Infinity) assert.ok(signal.aborted, 'it waits for a key that nobody presses')
        await Promise.resolve()
      },
    },
    {
      at: options.at,
      speed: options.speed ?? 1,
      idleLimitMs: 2000,
      isInteractive: options.isInteractive ?? false,
    },
  )
  const played = { shown, said, slept, player }
  return played
}

/** Presses each key when what it waits for is shown. */
function when(script: readonly (readonly [after: string, key: string])[]) {
  const left = [...script]
  return ({ shown }: Played): string | undefined => {
    const next = left[0]
    if (next === undefined || shown.at(-1) !== next[0]) return undefined
    left.shift()
    return next[1]
  }
}

test('waits are as long as they were, divided by the speed and cut to the limit', async () => {
  const { player, slept, shown } = stage({ speed: 2, at: '#9' })
  await player.run()
  assert.deepEqual(shown, ['run 9', 'end 9', 'run 10', 'end 10'])
  assert.deepEqual(slept, [50, 1000, 50])
})

test('right and left go by command', async () => {
  const script = [
    ['run 1', 'right'],
    ['run 2', 'left'],
    ['run 1', 'q'],
  ] as const
  const { player, shown } = stage({ isInteractive: true }, when(script))
  await player.run()
  assert.deepEqual(shown, ['run 1', 'run 2', 'run 1'])
})

test('n and N go to the next decision and the one before, and say where there is none', async () => {
  const script = [
    ['run 1', 'n'],
    ['run 3', 'n'],
    ['run 7', 'n'],
    ['run 7', 'N'],
    ['run 3', 'N'],
    ['run 3', 'q'],
  ] as const
  const { player, shown, said } = stage({ isInteractive: true }, when(script))
  await player.run()
  assert.deepEqual(shown, ['run 1', 'run 3', 'run 7', 'run 3'])
  assert.deepEqual(said, ['no decision behind #7', 'no decision before #3'])
})

test('a search goes to the next command that has the text', async () => {
  const script = [
    ['run 1', '/'],
    ['run 1', 'E'],
    ['run 1', 'x'],
    ['run 1', 'backspace'],
    ['run 1', 'n'],
    ['run 1', 'd'],
    ['run 1', ' '],
    ['run 1', '5'],
    ['run 1', 'enter'],
    ['run 5', 'q'],
  ] as const
  const { player, shown } = stage({ isInteractive: true }, when(script))
  await player.run()
  assert.deepEqual(shown, ['run 1', 'run 5'])
})

test('while it pauses nothing is shown, and speed changes the rest of a wait', async () => {
  const script = [
    ['end 1', ' '],
    ['end 1', '+'],
    ['end 1', ' '],
    ['run 2', 'q'],
  ] as const
  const { player, shown, said, slept } = stage({ isInteractive: true }, when(script))
  await player.run()
  assert.deepEqual(shown, ['run 1', 'end 1', 'run 2'])
  assert.match(said.join('\n'), /^paused at #1 .*\nspeed 2\ngoes on$/)
  assert.ok((slept.at(-1) ?? 0) <= 450, slept.join(' '))
})

test('a move while it pauses shows its command and goes on pausing', async () => {
  const script = [
    ['run 1', ' '],
    ['run 1', 'right'],
    ['run 2', 'n'],
    ['run 3', 'q'],
  ] as const
  const { player, shown } = stage({ isInteractive: true }, when(script))
  await player.run()
  assert.deepEqual(shown, ['run 1', 'run 2', 'run 3'])
})

test('at the end it waits for keys where somebody presses them', async () => {
  const script = [
    ['end 10', 'left'],
    ['end 9', 'q'],
  ] as const
  const { player, said } = stage({ isInteractive: true, at: '#10' }, when(script))
  await player.run()
  assert.deepEqual(said, ['the end · q quits'])
})

test('keys are told apart however many come at once', () => {
  assert.deepEqual(keysIn('n\u001B[C\u001BOD q\u001B[5~\u0003\u001B/\r'), [
    'n',
    'right',
    'left',
    ' ',
    'q',
    'interrupt',
    'escape',
    '/',
    'enter',
  ])
})

test('a long recording is read in portions, each step once', async () => {
  const big = 'x'.repeat(1_500_000)
  const opened: number[] = []
  let open = 0
  const feed = new StepFeed(async function* lines(skip: number) {
    opened.push(skip)
    open += 1
    try {
      for (let seq = skip; seq < 10; seq += 1) {
        const line = `${JSON.stringify({ kind: 'command', seq, text: big })}\n`
        // Pieces end anywhere.
        yield await Promise.resolve(line.slice(0, 700_000))
        yield line.slice(700_000)
      }
    } finally {
      open -= 1
    }
  })
  const seqs: (number | undefined)[] = []
  for (let step = await feed.next(); step !== undefined; step = await feed.next()) {
    assert.equal(open, 0, 'nothing is open while a step is looked at')
    seqs.push(step.seq)
  }
  assert.deepEqual(seqs, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  assert.deepEqual(opened, [0, 3, 6, 9])
})
