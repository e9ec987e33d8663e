import type { Step } from '@sallyport/gateway'
import type { Key } from './terminal-keys.ts'

/** Steps in order; undefined at the end. */
export interface Feed {
  next(): Promise<Step | undefined>
}

/** Where a player gets steps, and what it shows them on. */
export interface PlayerParts {
  /** The steps of the recording, from a place such as `#12` on, or from its beginning. */
  readonly open: (at: string | undefined) => Feed
  readonly show: (step: Step) => void
  /** A line about the player itself. */
  readonly say: (line: string) => void
  /** Resolves after this long, or at once when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface PlayerOptions {
  readonly at: string | undefined
  readonly speed: number
  /** Waits are cut to this. */
  readonly idleLimitMs: number
  /** Someone presses keys: at the end it waits for more of them. */
  readonly isInteractive: boolean
}

export const keysHelp =
  'space pauses · ← → by command · + - speed · n N decisions · / searches · q quits'

const speedMax = 1024
const speedLeast = 1 / 16

/** Where to go on: at a command's number, or just after what was shown. */
type Move = { readonly to: number } | 'on'

/** Plays a recording with its timing. Keys may come at any time. */
export class Player {
  readonly #parts: PlayerParts
  readonly #isInteractive: boolean
  readonly #idleLimitMs: number
  readonly #at: string | undefined
  #speed: number
  #isPaused = false
  #isOver = false
  /** Number of the command that was shown last. */
  #seq = 0
  #shownAtMs: number | undefined
  readonly #keys: Key[] = []
  #wake = new AbortController()
  /** What is being typed behind `/`. */
  #typed: string | undefined
  #searched = ''

  constructor(parts: PlayerParts, options: PlayerOptions) {
    this.#parts = parts
    this.#at = options.at
    this.#speed = options.speed
    this.#idleLimitMs = options.idleLimitMs
    this.#isInteractive = options.isInteractive
  }

  key(key: Key): void {
    this.#keys.push(key)
    this.#wake.abort()
  }

  /** Plays until the end, or until somebody quits. */
  async run(): Promise<void> {
    let feed = this.#parts.open(this.#at)
    for (;;) {
      const move = await this.#play(feed)
      if (move === 'on') return
      feed = this.#parts.open(`#${move.to}`)
      await this.#showCommand(feed)
    }
  }

  async #play(feed: Feed): Promise<Move> {
    for (;;) {
      const step = await feed.next()
      if (step === undefined) {
        if (!this.#isInteractive) return 'on'
        this.#parts.say('the end · q quits')
      }
      const move = await this.#until(step)
      if (move !== 'on') return move
      if (this.#isOver || step === undefined) return 'on'
      this.#show(step)
    }
  }

  /** What a move leads to is shown at once, paused or not; how the session began is not shown again. */
  async #showCommand(feed: Feed): Promise<void> {
    for (let step = await feed.next(); step !== undefined; step = await feed.next())
      if (step.kind === 'command') return this.#show(step)
  }

  #show(step: Step): void {
    if (step.kind === 'command') this.#seq = step.seq ?? this.#seq
    this.#shownAtMs = step.atMs ?? this.#shownAtMs
    this.#parts.show(step)
  }

  /** Waits until the step is due, doing what keys say. At the end there is none, and only keys lead on. */
  async #until(step: Step | undefined): Promise<Move> {
    let restMs = this.#gapMs(step)
    for (;;) {
      for (let key = this.#keys.shift(); key !== undefined; key = this.#keys.shift()) {
        const move = await this.#press(key)
        if (move !== 'on' || this.#isOver) return move
      }
      const isWaiting = this.#isPaused || step === undefined
      if (!isWaiting && restMs <= 0) return 'on'
      this.#wake = new AbortController()
      const speed = this.#speed
      const fromMs = performance.now()
      await this.#parts.sleep(isWaiting ? Infinity : restMs / speed, this.#wake.signal)
      if (isWaiting) continue
      restMs = this.#wake.signal.aborted ? restMs - (performance.now() - fromMs) * speed : 0
    }
  }

  #gapMs(step: Step | undefined): number {
    if (step?.atMs === undefined || this.#shownAtMs === undefined) return 0
    return Math.min(Math.max(0, step.atMs - this.#shownAtMs), this.#idleLimitMs)
  }

  async #press(key: Key): Promise<Move> {
    if (key === 'interrupt') return this.#quit()
    if (this.#typed !== undefined) return await this.#type(key, this.#typed)
    switch (key) {
      case 'q':
        return this.#quit()
      case ' ':
        this.#isPaused = !this.#isPaused
        this.#parts.say(this.#isPaused ? `paused at #${this.#seq} · ${keysHelp}` : 'goes on')
        return 'on'
      case '+':
      case '=':
        return this.#accelerate(2)
      case '-':
        return this.#accelerate(1 / 2)
      case 'right':
        return { to: this.#seq + 1 }
      case 'left':
        return { to: Math.max(1, this.#seq - 1) }
      case 'n':
        return await this.#find('decision', ({ decision }) => decision !== undefined)
      case 'N':
        return await this.#findBack()
      case '/':
        this.#typed = ''
        this.#parts.say('search for, then Enter:')
        return 'on'
      default:
        return 'on'
    }
  }

  #quit(): Move {
    this.#isOver = true
    return 'on'
  }

  #accelerate(by: number): Move {
    this.#speed = Math.min(speedMax, Math.max(speedLeast, this.#speed * by))
    this.#parts.say(`speed ${this.#speed}`)
    return 'on'
  }

  async #type(key: Key, typed: string): Promise<Move> {
    if (key === 'escape') this.#typed = undefined
    else if (key === 'backspace') this.#typed = typed.slice(0, -1)
    else if (key !== 'enter') this.#typed = key === 'left' || key === 'right' ? typed : typed + key
    else {
      this.#typed = undefined
      this.#searched = typed === '' ? this.#searched : typed.toLowerCase()
      const sought = this.#searched
      if (sought === '') return 'on'
      return await this.#find(`"${sought}"`, ({ text }) => text.toLowerCase().includes(sought))
    }
    return 'on'
  }

  /** The next command behind this one that has such a step. */
  async #find(what: string, is: (step: Step) => boolean): Promise<Move> {
    const feed = this.#parts.open(`#${this.#seq + 1}`)
    for (let step = await feed.next(); step !== undefined; step = await feed.next()) {
      if (this.#keys.includes('interrupt')) return 'on'
      if (step.seq !== undefined && step.seq > this.#seq && is(step)) return { to: step.seq }
    }
    this.#parts.say(`no ${what} behind #${this.#seq}`)
    return 'on'
  }

  /** The nearest decision before this command. */
  async #findBack(): Promise<Move> {
    const feed = this.#parts.open(undefined)
    let found = 0
    for (let step = await feed.next(); step !== undefined; step = await feed.next()) {
      if (this.#keys.includes('interrupt')) return 'on'
      if (step.kind === 'command' && (step.seq ?? 0) >= this.#seq) break
      if (step.decision !== undefined && step.seq !== undefined && step.seq < this.#seq)
        found = Math.max(found, step.seq)
    }
    if (found > 0) return { to: found }
    this.#parts.say(`no decision before #${this.#seq}`)
    return 'on'
  }
}
