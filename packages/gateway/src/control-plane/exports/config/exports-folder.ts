import { mkdir } from 'node:fs/promises'
import { SallyportError } from '@sallyport/core'
import { type ConfigProblem, printProblems } from '../../policies/config-problem.ts'
import { type FolderWatch, watchFolder } from '../../policies/watch-folder.ts'
import type { ExportsConfig } from './export-config.ts'
import { loadExportsFolder, type LoadedExports } from './load-exports-folder.ts'

/** The folder `exports` of a data folder: read at the start, and again whenever a file changes. */
export class ExportsFolder {
  readonly #dir: string
  #config: ExportsConfig
  #problems = ''
  #watch: FolderWatch | undefined

  private constructor(dir: string, config: ExportsConfig) {
    this.#dir = dir
    this.#config = config
  }

  /** Fails with `SP_CONFIG_INVALID` where a file is wrong: nobody starts without a record that somebody counts on. */
  static async open(dir: string): Promise<ExportsFolder> {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const first = await loadExportsFolder(dir)
    if (first.kind === 'ok') return new ExportsFolder(dir, first.config)
    const text = printProblems(first.problems)
    throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
  }

  /** The newest files that were right. */
  get config(): ExportsConfig {
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
      () => loadOrProblem(this.#dir),
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
}

async function loadOrProblem(dir: string): Promise<LoadedExports> {
  try {
    return await loadExportsFolder(dir)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown'
    const place = { file: dir, line: 1, column: 1, length: 1, path: '', sourceLine: '', hint: '' }
    const problem: ConfigProblem = { message: `the folder cannot be read: ${why}`, ...place }
    return { kind: 'refused', problems: [problem] }
  }
}
