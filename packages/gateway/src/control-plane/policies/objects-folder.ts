import { mkdir } from 'node:fs/promises'
import { SallyportError } from '@sallyport/core'
import { type ConfigProblem, printProblems } from './config-problem.ts'
import type { LoadedObjects } from './read-objects.ts'
import { type FolderWatch, watchFolder } from './watch-folder.ts'

type Load<T> = (dir: string) => Promise<LoadedObjects<T>>

/** A folder of objects: read at the start, and again whenever a file changes. */
export class ObjectsFolder<T> {
  readonly #dir: string
  readonly #load: Load<T>
  #config: ReadonlyMap<string, T>
  #problems = ''
  #watch: FolderWatch | undefined

  private constructor(dir: string, load: Load<T>, config: ReadonlyMap<string, T>) {
    this.#dir = dir
    this.#load = load
    this.#config = config
  }

  /** Fails with `SP_CONFIG_INVALID` where a file is wrong: nobody starts without what somebody counts on. */
  static async open<T>(dir: string, load: Load<T>): Promise<ObjectsFolder<T>> {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const first = await load(dir)
    if (first.kind === 'ok') return new ObjectsFolder(dir, load, first.config)
    const text = printProblems(first.problems)
    throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
  }

  /** The newest files that were right. */
  get config(): ReadonlyMap<string, T> {
    return this.#config
  }

  /** What is wrong with the files, for people; empty where nothing is. */
  get problems(): string {
    return this.#problems
  }

  /** Tells when files were read again, and whether they were right. */
  async follow(onChange: (isRight: boolean) => void): Promise<void> {
    this.#watch = await watchFolder(
      this.#dir,
      () => this.#loadOrProblem(),
      (loaded) => {
        this.#problems = loaded.kind === 'ok' ? '' : printProblems(loaded.problems)
        if (loaded.kind === 'ok') this.#config = loaded.config
        onChange(loaded.kind === 'ok')
      },
    )
  }

  close(): void {
    this.#watch?.close()
  }

  async #loadOrProblem(): Promise<LoadedObjects<T>> {
    const file = this.#dir
    try {
      return await this.#load(file)
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      const place = { file, line: 1, column: 1, length: 1, path: '', sourceLine: '', hint: '' }
      const problem: ConfigProblem = { message: `the folder cannot be read: ${why}`, ...place }
      return { kind: 'refused', problems: [problem] }
    }
  }
}
