import instantiate, { type PgQueryWasm } from 'libpg-query/wasm/libpg-query.js'
import { isTree, list, type Tree } from './tree.ts'

/** `broken` means that the parser itself failed, which says nothing about the text. */
export type Parsed =
  | { readonly kind: 'tree'; readonly statements: readonly Tree[] }
  | { readonly kind: 'syntax-error' }
  | { readonly kind: 'broken' }

/** PostgreSQL's own grammar. A failure that is not a syntax error leaves an instance in a state nobody knows, so it is thrown away. */
export class SqlParser {
  #current: PgQueryWasm | undefined
  /** Instantiating is asynchronous, so the next instance stands ready. */
  #spare: PgQueryWasm | undefined
  /** Undefined while no new instance is on its way. */
  #renewing: Promise<void> | undefined

  private constructor(current: PgQueryWasm, spare: PgQueryWasm) {
    this.#current = current
    this.#spare = spare
  }

  static async create(): Promise<SqlParser> {
    return new SqlParser(await instantiate(), await instantiate())
  }

  parse(text: string): Parsed {
    const wasm = this.#current ?? this.#takeSpare()
    if (wasm === undefined) return { kind: 'broken' }
    try {
      return parseWith(wasm, text)
    } catch {
      this.#current = undefined
      this.#takeSpare()
      return { kind: 'broken' }
    }
  }

  /** Settles when a fresh instance stands ready again. */
  async settled(): Promise<void> {
    await this.#renewing
  }

  #takeSpare(): PgQueryWasm | undefined {
    this.#current = this.#spare
    this.#spare = undefined
    this.#renewing ??= this.#renew()
    return this.#current
  }

  async #renew(): Promise<void> {
    try {
      this.#spare = await instantiate()
    } catch {
      // Out of memory: statements stay unknown, and the next one tries again.
    } finally {
      this.#renewing = undefined
    }
  }
}

function parseWith(wasm: PgQueryWasm, text: string): Parsed {
  const bytes = wasm.lengthBytesUTF8(text) + 1
  const pointer = wasm._malloc(bytes)
  if (pointer === 0) throw new Error('the parser is out of memory')
  wasm.stringToUTF8(text, pointer, bytes)
  const result = wasm._wasm_parse_query_raw(pointer)
  if (result === 0) throw new Error('the parser gave no result')
  // PgQueryParseResult: parse_tree, stderr_buffer, error.
  const failed = wasm.getValue(result + 8, 'i32') !== 0
  const json = failed ? '' : wasm.UTF8ToString(wasm.getValue(result, 'i32'))
  wasm._free(pointer)
  wasm._wasm_free_parse_result(result)
  if (failed) return { kind: 'syntax-error' }
  const tree: unknown = JSON.parse(json)
  if (!isTree(tree)) throw new Error('the parser gave no tree')
  return { kind: 'tree', statements: list(tree, 'stmts') }
}
