import type { CatalogView, Classified } from './classified.ts'
import { draftText, opaqueDraft } from './draft-text.ts'
import type { Draft } from './draft.ts'
import { LargeTextReader } from './large-text-reader.ts'
import { opaqueClassified, resolveDraft } from './resolve-draft.ts'
import { SqlParser } from './sql-parser.ts'
import { needsWorker, parsedCharactersMax } from './text-limits.ts'

/** Enough for the statements that an application repeats; the rest are new texts anyway. */
const cachedTextsMax = 4096

/** Bounds what the cache holds, in characters of text; a draft takes several times as much. */
const cachedCharactersMax = 8 * 1024 * 1024

/** Catalog views under which one text stays resolved: sessions of a connection share one, so few are in use at a time. */
const viewsPerTextMax = 4

interface Entry {
  readonly draft: Draft
  readonly resolved: Map<string, Classified>
}

/** Tells what a text asks PostgreSQL to do. Reads the text once; each session's catalog is put under the result. */
export class SqlClassifier {
  readonly #parser: SqlParser
  readonly #large = new LargeTextReader()
  /** Two generations: what is used moves to the young one, and the old one is dropped whole when the young one is full. */
  #young = new Map<string, Entry>()
  #old = new Map<string, Entry>()
  #youngCharacters = 0

  private constructor(parser: SqlParser) {
    this.#parser = parser
  }

  static async create(): Promise<SqlClassifier> {
    return new SqlClassifier(await SqlParser.create())
  }

  /** Texts that `needsWorker` come out as unknown: those are for `classifyLarge`. Never throws. */
  classify(text: string, catalog: CatalogView): Classified {
    const known = this.#recall(text)
    if (known !== undefined) return resolveCached(known, catalog)
    if (needsWorker(text)) return opaqueClassified(['too-long'], false)
    return resolveCached(this.#remember(text, draftText(this.#parser, text)), catalog)
  }

  /** As `classify`, for texts of any size, in a worker where that is needed. */
  async classifyLarge(text: string, catalog: CatalogView): Promise<Classified> {
    if (!needsWorker(text)) return this.classify(text, catalog)
    const draft =
      text.length > parsedCharactersMax ? opaqueDraft('too-long') : await this.#large.read(text)
    return resolveDraft(draft, catalog)
  }

  /** Ends the worker. Texts that wait for it come out as unknown. */
  async close(): Promise<void> {
    await this.#large.close()
  }

  #recall(text: string): Entry | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) this.#keep(text, old)
    return old
  }

  #keep(text: string, entry: Entry): void {
    if (
      this.#young.size >= cachedTextsMax / 2 ||
      this.#youngCharacters + text.length > cachedCharactersMax / 2
    ) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngCharacters = 0
    }
    this.#young.set(text, entry)
    this.#youngCharacters += text.length
  }

  #remember(text: string, draft: Draft): Entry {
    const entry = { draft, resolved: new Map<string, Classified>() }
    // A text that a broken parser could not read may be read the next time.
    if (draft.opaque.includes('too-long')) return entry
    this.#keep(text, entry)
    return entry
  }
}

const trustKeys = new WeakMap<ReadonlySet<string>, string>()

/** The same for equal sets, so that a replaced snapshot with the same list keeps the cache. */
function trustKey(trusted: ReadonlySet<string>): string {
  const known = trustKeys.get(trusted)
  if (known !== undefined) return known
  const key = JSON.stringify([...trusted].toSorted())
  trustKeys.set(trusted, key)
  return key
}

function resolveCached(entry: Entry, catalog: CatalogView): Classified {
  const key = `${catalog.generation} ${trustKey(catalog.trustedFunctions)}`
  const known = entry.resolved.get(key)
  if (known !== undefined) return known
  const classified = resolveDraft(entry.draft, catalog)
  for (const oldest of entry.resolved.keys()) {
    if (entry.resolved.size < viewsPerTextMax) break
    entry.resolved.delete(oldest)
  }
  entry.resolved.set(key, classified)
  return classified
}
