import { TextCache } from '../text-cache.ts'
import type { Classified } from './classified.ts'
import type { Draft } from './draft.ts'

export interface CachedDraft {
  readonly draft: Draft
  /** By catalog view. */
  readonly resolved: Map<string, Classified>
}

/** Keeps drafts by text. */
export class DraftCache {
  readonly #texts: TextCache<CachedDraft>

  constructor(textsMax: number, charactersMax: number) {
    this.#texts = new TextCache(textsMax, charactersMax)
  }

  get(text: string): CachedDraft | undefined {
    return this.#texts.get(text)
  }

  add(text: string, draft: Draft): CachedDraft {
    const entry = { draft, resolved: new Map<string, Classified>() }
    // A text that a broken parser or a busy worker could not read may be read the next time.
    if (!draft.opaque.includes('too-long')) this.#texts.add(text, entry)
    return entry
  }
}
