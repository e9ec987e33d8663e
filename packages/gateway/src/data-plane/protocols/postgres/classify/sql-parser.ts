import instantiate, { type PgQueryWasm } from 'libpg-query/wasm/libpg-query.js'
import { isTree, list, text, type Tree } from './tree.ts'

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
    return this.#attempt((wasm) => parseWith(wasm, text))
  }

  /** Reads the bodies of a CREATE FUNCTION or a DO in PL/pgSQL: one tree for each. */
  parsePlpgsql(text: string): Parsed {
    return this.#attempt((wasm) => parsePlpgsqlWith(wasm, text))
  }

  /** The words of a text, as PostgreSQL's lexer tells them apart; comments are words too. Undefined where it can't. */
  words(text: string): readonly string[] | undefined {
    const found = this.#attempt((wasm) => wordsWith(wasm, text))
    return Array.isArray(found) ? found : undefined
  }

  #attempt<T>(parse: (wasm: PgQueryWasm) => T): T | { readonly kind: 'broken' } {
    const wasm = this.#current ?? this.#takeSpare()
    if (wasm === undefined) return { kind: 'broken' }
    try {
      return parse(wasm)
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
  const pointer = place(wasm, text)
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

/** The answer is the tree, or the message of an error in its place. */
function parsePlpgsqlWith(wasm: PgQueryWasm, text: string): Parsed {
  const pointer = place(wasm, text)
  const result = wasm._wasm_parse_plpgsql(pointer)
  if (result === 0) throw new Error('the parser gave no result')
  const json = wasm.UTF8ToString(result)
  wasm._free(pointer)
  wasm._wasm_free_string(result)
  if (!json.startsWith('{')) return { kind: 'syntax-error' }
  const tree: unknown = JSON.parse(json)
  if (!isTree(tree)) throw new Error('the parser gave no tree')
  return { kind: 'tree', statements: list(tree, 'plpgsql_funcs') }
}

/** The answer is a list of words as JSON, or the message of an error in its place. */
function wordsWith(wasm: PgQueryWasm, sql: string): readonly string[] | undefined {
  const pointer = place(wasm, sql)
  const result = wasm._wasm_scan(pointer)
  if (result === 0) throw new Error('the lexer gave no result')
  const json = wasm.UTF8ToString(result)
  wasm._free(pointer)
  wasm._wasm_free_string(result)
  if (!json.startsWith('{')) return undefined
  try {
    const scanned: unknown = JSON.parse(json)
    return isTree(scanned) ? list(scanned, 'tokens').map((token) => text(token, 'text')) : undefined
  } catch {
    // It writes some control characters as they are, which JSON does not have.
    return undefined
  }
}

function place(wasm: PgQueryWasm, text: string): number {
  const bytes = wasm.lengthBytesUTF8(text) + 1
  const pointer = wasm._malloc(bytes)
  if (pointer === 0) throw new Error('the parser is out of memory')
  wasm.stringToUTF8(text, pointer, bytes)
  return pointer
}
