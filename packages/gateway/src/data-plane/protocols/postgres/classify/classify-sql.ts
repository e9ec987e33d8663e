import type { CatalogView, Classified } from './classified.ts'
import { draftText } from './draft-text.ts'
import { DraftCache, type CachedDraft } from './draft-cache.ts'
import { LargeTextReader } from './large-text-reader.ts'
import { CodeReader } from './read-code.ts'
import { opaqueClassified, resolveDraft } from './resolve-draft.ts'
import { SqlParser } from './sql-parser.ts'
import type { Tree } from './tree.ts'
import { templateOf } from './text-template.ts'
import { needsWorker, parsedCharactersMax } from './text-limits.ts'

/** Enough for the statements that an application repeats; the rest are new texts anyway. */
const cachedTextsMax = 4096

/** Bounds what the cache holds, in characters of text; a draft takes several times as much. */
const cachedCharactersMax = 8 * 1024 * 1024

/** Large texts stay only until the sessions that wait for them have judged them, and do not push out small ones. */
const largeTextsMax = 128
const largeCharactersMax = 64 * 1024 * 1024

/** Catalog views under which one text stays resolved: sessions of a connection share one, so few are in use at a time. */
const viewsPerTextMax = 4

/** Tells what a text asks PostgreSQL to do. Reads the text once; each session's catalog is put under the result. */
export class SqlClassifier {
  readonly #parser: SqlParser
  readonly #codes: CodeReader
  readonly #large = new LargeTextReader()
  readonly #small = new DraftCache(cachedTextsMax, cachedCharactersMax)
  readonly #templates = new DraftCache(cachedTextsMax, cachedCharactersMax)
  readonly #read = new DraftCache(largeTextsMax, largeCharactersMax)

  private constructor(parser: SqlParser) {
    this.#parser = parser
    this.#codes = new CodeReader(parser)
  }

  static async create(): Promise<SqlClassifier> {
    return new SqlClassifier(await SqlParser.create())
  }

  /** Texts that `needsWorker` come out as unknown unless `classifyLarge` read them shortly before. Never throws. */
  classify(text: string, catalog: CatalogView): Classified {
    const known = this.#small.get(text)
    if (known !== undefined) return this.#resolve(known, catalog)
    if (!needsWorker(text)) return this.#resolve(this.#draft(text), catalog)
    const read = this.#read.get(text)
    return read === undefined ? opaqueClassified(['too-long'], false) : this.#resolve(read, catalog)
  }

  /** Statements with constants of their own in them come by the thousand: those of one template are read once. */
  #draft(text: string): CachedDraft {
    const template = templateOf(text)
    const known = template === undefined ? undefined : this.#templates.get(template)
    if (known !== undefined) return known
    const draft = draftText(this.#parser, text)
    // A text without constants is its own template, and is found sooner by itself.
    const isShared = template !== undefined && template !== text && draft.isTemplate
    return isShared ? this.#templates.add(template, draft) : this.#small.add(text, draft)
  }

  /** The statements of a text; undefined where they can't be read. Those of a large text come from the worker, without long lists of constants. */
  parse(text: string): readonly Tree[] | undefined {
    if (needsWorker(text)) return this.#read.get(text)?.draft.trees
    const parsed = this.#parser.parse(text)
    return parsed.kind === 'tree' ? parsed.statements : undefined
  }

  /** The words of a text, comments among them; undefined where they can't be told apart. */
  words(text: string): readonly string[] | undefined {
    return this.#parser.words(text)
  }

  /** As `classify`, for texts of any size, in a worker where that is needed. */
  async classifyLarge(text: string, catalog: CatalogView): Promise<Classified> {
    if (!needsWorker(text)) return this.classify(text, catalog)
    if (text.length > parsedCharactersMax) return opaqueClassified(['too-long'], false)
    const read = this.#read.get(text) ?? this.#read.add(text, await this.#large.read(text))
    return this.#resolve(read, catalog)
  }

  #resolve(entry: CachedDraft, catalog: CatalogView): Classified {
    const key = viewKey(catalog)
    const known = entry.resolved.get(key)
    if (known !== undefined) return known
    const classified = resolveDraft(entry.draft, catalog, this.#codes)
    for (const oldest of entry.resolved.keys()) {
      if (entry.resolved.size < viewsPerTextMax) break
      entry.resolved.delete(oldest)
    }
    entry.resolved.set(key, classified)
    return classified
  }

  /** Ends the worker. Texts that wait for it come out as unknown. */
  async close(): Promise<void> {
    await this.#large.close()
  }
}

const viewKeys = new WeakMap<CatalogView, string>()

/** The same for views that show the same. */
function viewKey(view: CatalogView): string {
  const known = viewKeys.get(view)
  if (known !== undefined) return known
  const key = `${view.generation} ${trustKey(view.trustedFunctions)}`
  viewKeys.set(view, key)
  return key
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
