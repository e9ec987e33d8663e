import type { Classified } from './classified.ts'
import type { Draft } from './draft.ts'

export interface CachedDraft {
  readonly draft: Draft
  /** By catalog view. */
  readonly resolved: Map<string, Classified>
}

/** Keeps drafts by text in two generations: what is used moves to the young one, and the old one is dropped whole when the young one is full. */
export class DraftCache {
  readonly #textsMax: number
  readonly #charactersMax: number
  #young = new Map<string, CachedDraft>()
  #old = new Map<string, CachedDraft>()
  #youngCharacters = 0

  constructor(textsMax: number, charactersMax: number) {
    this.#textsMax = textsMax
    this.#charactersMax = charactersMax
  }

  get(text: string): CachedDraft | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) this.#keep(text, old)
    return old
  }

  add(text: string, draft: Draft): CachedDraft {
    const entry = { draft, resolved: new Map<string, Classified>() }
    // A text that a broken parser or a busy worker could not read may be read the next time.
    if (!draft.opaque.includes('too-long')) this.#keep(text, entry)
    return entry
  }

  #keep(text: string, entry: CachedDraft): void {
    const isFull =
      this.#young.size >= this.#textsMax / 2 ||
      this.#youngCharacters + text.length > this.#charactersMax / 2
    if (isFull) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngCharacters = 0
    }
    this.#young.set(text, entry)
    this.#youngCharacters += text.length
  }
}
