import { Worker } from 'node:worker_threads'
import { opaqueDraft } from './draft-text.ts'
import type { Draft } from './draft.ts'

/** Within this, any text that ends at all has ended; a caller waits no longer for a refusal. */
const answerMsMax = 10_000

/** Deep trees need a deep stack. */
const stackSizeMb = 16

/** Trees of the largest text fit, and a hostile one cannot take the machine's memory. */
const heapMb = 1024

/** Texts that may wait for the one worker; more are refused, so that waiting stays bounded. */
const waitingMax = 64

interface Job {
  readonly text: string
  readonly settle: (draft: Draft) => void
}

/** Reads large texts, one after the other, in a thread that may die without harm. */
export class LargeTextReader {
  #worker: Worker | undefined
  #busy: Job | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #waiting: Job[] = []

  read(text: string): Promise<Draft> {
    const { promise, resolve } = Promise.withResolvers<Draft>()
    if (this.#waiting.length >= waitingMax) return Promise.resolve(opaqueDraft('too-long'))
    this.#waiting.push({ text, settle: resolve })
    this.#next()
    return promise
  }

  async close(): Promise<void> {
    const worker = this.#worker
    this.#fail(worker)
    for (const job of this.#waiting.splice(0)) job.settle(opaqueDraft('too-long'))
    await worker?.terminate()
  }

  #next(): void {
    if (this.#busy !== undefined) return
    const job = this.#waiting.shift()
    if (job === undefined) return
    this.#busy = job
    const worker = (this.#worker ??= this.#start())
    worker.ref()
    this.#timer = setTimeout(() => this.#fail(worker), answerMsMax)
    worker.postMessage(job.text)
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./classify-worker.${extension}`, import.meta.url), {
      resourceLimits: { stackSizeMb, maxOldGenerationSizeMb: heapMb },
    })
    worker.on('message', (message: Draft | 'ready') => {
      if (message !== 'ready' && worker === this.#worker) this.#finish(message)
    })
    worker.on('error', () => this.#fail(worker))
    worker.on('exit', () => this.#fail(worker))
    return worker
  }

  /** Gives the waiting text up and drops the thread: what state it is in, nobody knows. */
  #fail(worker: Worker | undefined): void {
    if (worker === undefined || worker !== this.#worker) return
    this.#worker = undefined
    void worker.terminate()
    this.#finish(opaqueDraft('too-long'))
  }

  #finish(draft: Draft): void {
    clearTimeout(this.#timer)
    // An idle thread keeps no process alive.
    this.#worker?.unref()
    const job = this.#busy
    this.#busy = undefined
    job?.settle(draft)
    this.#next()
  }
}
