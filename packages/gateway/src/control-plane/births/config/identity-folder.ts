import { mkdir } from 'node:fs/promises'
import { SallyportError } from '@sallyport/core'
import { type ConfigProblem, printProblems } from '../../policies/config-problem.ts'
import { type FolderWatch, watchFolder } from '../../policies/watch-folder.ts'
import type { IdentityConfig } from './identity-config.ts'
import { loadIdentityFolder, type LoadedIdentity } from './load-identity-folder.ts'

/** The folder `identity` of the data folder: read at the start, and again whenever a file changes. */
export class IdentityFolder {
  #config: IdentityConfig
  #problems = ''
  #watch: FolderWatch | undefined

  private constructor(config: IdentityConfig) {
    this.#config = config
  }

  /** Fails with `SP_CONFIG_INVALID` where a file is wrong: nobody starts on half of the rules. */
  static async open(
    dir: string,
    onChange: (folder: IdentityFolder) => void,
  ): Promise<IdentityFolder> {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const first = await loadIdentityFolder(dir)
    if (first.kind === 'refused') {
      const text = printProblems(first.problems)
      throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
    }
    const folder = new IdentityFolder(first.config)
    folder.#watch = await watchFolder(
      dir,
      () => loadOrProblem(dir),
      (loaded) => {
        folder.#use(loaded)
        onChange(folder)
      },
    )
    return folder
  }

  /** The newest files that were right. */
  get config(): IdentityConfig {
    return this.#config
  }

  /** What is wrong with the files, for people; empty where nothing is. */
  get problems(): string {
    return this.#problems
  }

  close(): void {
    this.#watch?.close()
  }

  #use(loaded: LoadedIdentity): void {
    this.#problems = loaded.kind === 'ok' ? '' : printProblems(loaded.problems)
    if (loaded.kind === 'ok') this.#config = loaded.config
  }
}

async function loadOrProblem(dir: string): Promise<LoadedIdentity> {
  try {
    return await loadIdentityFolder(dir)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown'
    const problem: ConfigProblem = {
      message: `the folder cannot be read: ${why}`,
      hint: '',
      file: dir,
      line: 1,
      column: 1,
      length: 1,
      path: '',
      sourceLine: '',
    }
    return { kind: 'refused', problems: [problem] }
  }
}
