import type { FollowedFile } from './journal-follower.ts'

/** Which parts have entries in which journal files, as far as they were read. */
export class HeldParts {
  /** By file, the position of the last entry of each part in it. */
  readonly #byFile = new Map<FollowedFile, Map<string, number>>()

  /** An entry of a part was read in a file. */
  note(file: FollowedFile, part: string, position: number): void {
    const held = this.#byFile.get(file) ?? new Map<string, number>()
    held.set(part, position)
    this.#byFile.set(file, held)
  }

  /** The parts in a file, each with the position of its last entry there. */
  in(file: FollowedFile): ReadonlyMap<string, number> {
    return this.#byFile.get(file) ?? new Map<string, number>()
  }

  /** Names of all parts that have entries in some file. */
  all(): ReadonlySet<string> {
    return new Set([...this.#byFile.values()].flatMap((parts) => [...parts.keys()]))
  }

  /** A file is gone. Returns the parts that have no entry in any other. */
  forget(file: FollowedFile): string[] {
    const held = this.in(file)
    this.#byFile.delete(file)
    return [...held.keys()].filter((part) => !this.#isHeld(part))
  }

  /** Forgets files that are not among these: somebody else may have removed some. Returns the parts that have no entry left. */
  keepOnly(files: readonly FollowedFile[]): string[] {
    const there = new Set(files)
    const gone = [...this.#byFile.keys()].filter((file) => !there.has(file))
    return gone.flatMap((file) => this.forget(file))
  }

  #isHeld(part: string): boolean {
    return [...this.#byFile.values()].some((parts) => parts.has(part))
  }
}
