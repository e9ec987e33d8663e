import { ident } from '@sallyport/core'
import { at, isTree, list, text, unwrap, words, type Tree } from '../classify/tree.ts'

/** What names a guarded session has to use in the place of those that its caller uses. */
export interface GuardedNames {
  /** Schemas of the target, each with the one that stands before it. */
  readonly schemas: Readonly<Record<string, string>>
  /** Whether the relation has a masked form in that schema; without a schema, in any. */
  has(schema: string | undefined, name: string): boolean
}

/** One change: bytes `from` to `to` of the caller's text become `put`. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly put: string
}

/** Statements in which relations are read or written. In others a name stays: there it is no masked relation's to take. */
const dataTags = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

/**
 * Finds the names in a parsed text that have to mean masked relations: qualified ones, the schemas of a search path, and
 * the relation of a COPY, which takes a query in the place of a view. Names only, never expressions. A name that is
 * missed costs the caller a "permission denied" and nothing else.
 */
export function findRenames(
  statements: readonly Tree[],
  bytes: Buffer,
  names: GuardedNames,
): readonly Edit[] {
  const edits: Edit[] = []
  const finder = new Finder(bytes, names, edits)
  for (const raw of statements) finder.statement(at(raw, 'stmt') ?? {})
  const ordered = edits.toSorted((a, b) => a.from - b.from)
  // Changes that overlap were told apart wrongly: then none is made.
  const isApart = ordered.every((edit, index) => edit.from >= (ordered[index - 1]?.to ?? 0))
  return isApart ? ordered : []
}

/** The text with its changes. */
export function applyEdits(bytes: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = []
  let done = 0
  for (const { from, to, put } of edits) {
    parts.push(bytes.subarray(done, from), Buffer.from(put))
    done = to
  }
  parts.push(bytes.subarray(done))
  return Buffer.concat(parts)
}

/** Where in the caller's text a place of the changed one is. Both count characters from 1, as error messages do. */
export function originalPosition(
  original: Buffer,
  edits: readonly Edit[],
  position: number,
): number {
  const changed = applyEdits(original, edits)
  const before = Array.from(changed.toString())
    .slice(0, position - 1)
    .join('')
  let place = Buffer.byteLength(before)
  for (const { from, to, put } of edits) {
    if (place < from) break
    const grown = Buffer.byteLength(put) - (to - from)
    // Inside of what was put there: the beginning of what it stands for.
    place = place < from + Buffer.byteLength(put) ? from : place - grown
  }
  return Array.from(original.subarray(0, place).toString()).length + 1
}

class Finder {
  readonly #bytes: Buffer
  readonly #names: GuardedNames
  readonly #edits: Edit[]

  constructor(bytes: Buffer, names: GuardedNames, edits: Edit[]) {
    this.#bytes = bytes
    this.#names = names
    this.#edits = edits
  }

  statement(node: Tree): void {
    const inner = unwrap(node)
    if (inner === undefined) return
    const { tag, body } = inner
    if (dataTags.has(tag)) this.#data(body)
    else if (tag === 'CopyStmt') this.#copy(body)
    else if (tag === 'VariableSetStmt') this.#searchPath(body)
    // EXPLAIN, PREPARE, DECLARE, CREATE TABLE AS and views hold a query.
    else this.statement(at(body, 'query') ?? {})
  }

  #data(value: unknown): void {
    if (Array.isArray(value)) for (const each of value) this.#data(each)
    if (!isTree(value)) return
    for (const [key, field] of Object.entries(value)) {
      if (key === 'intoClause') continue
      if (isTree(field)) {
        if (key === 'RangeVar' || (key === 'relation' && 'relname' in field)) this.#relation(field)
        if (key === 'ColumnRef') this.#column(field)
      }
      this.#data(field)
    }
  }

  #relation(rangeVar: Tree): void {
    const schema = text(rangeVar, 'schemaname')
    if (schema === '' || !this.#names.has(schema, text(rangeVar, 'relname'))) return
    this.#schemaAt(rangeVar, schema, text(rangeVar, 'catalogname'))
  }

  /** `public.users.email`: with the table renamed, so is what stands before its columns. */
  #column(columnRef: Tree): void {
    const names = words(list(columnRef, 'fields'))
    const [schema = '', table = ''] = names
    const fields = list(columnRef, 'fields').length
    if (fields < 3 || !this.#names.has(schema, table)) return
    this.#schemaAt(columnRef, schema, '')
  }

  #schemaAt(node: Tree, schema: string, catalog: string): void {
    const put = this.#names.schemas[schema]
    let token = this.#token(locationOf(node))
    if (catalog !== '') {
      if (token?.name !== catalog || this.#bytes[token.to] !== dot) return
      token = this.#token(token.to + 1)
    }
    if (put === undefined || token?.name !== schema) return
    this.#edits.push({ from: token.from, to: token.to, put: ident(put) })
  }

  /** A view can't be copied, a query over it can. */
  #copy(body: Tree): void {
    this.statement(at(body, 'query') ?? {})
    const relation = at(body, 'relation')
    if (relation === undefined || body['is_from'] === true) return
    const schema = text(relation, 'schemaname')
    const name = text(relation, 'relname')
    if (text(relation, 'catalogname') !== '') return
    if (!this.#names.has(schema === '' ? undefined : schema, name)) return
    const first = this.#token(locationOf(relation))
    const last = schema === '' || first === undefined ? first : this.#afterDot(first.to)
    if (first === undefined || last?.name !== name) return
    const columns = words(list(body, 'attlist')).map(ident).join(', ')
    const end = columns === '' ? last.to : this.#closing(last.to)
    if (end === undefined) return
    const from = [...(schema === '' ? [] : [this.#names.schemas[schema] ?? '']), name].map(ident)
    const put = `(SELECT ${columns === '' ? '*' : columns} FROM ${from.join('.')})`
    this.#edits.push({ from: first.from, to: end, put })
  }

  /** `SET search_path TO public`: the masked schema goes before each. */
  #searchPath(body: Tree): void {
    if (text(body, 'name') !== 'search_path' || text(body, 'kind') !== 'VAR_SET_VALUE') return
    for (const argument of list(body, 'args')) {
      const constant = at(argument, 'A_Const') ?? {}
      const put = this.#names.schemas[text(at(constant, 'sval') ?? {}, 'sval')]
      const from = locationOf(constant)
      if (put === undefined || from <= 0) continue
      // SET SCHEMA takes one name only.
      const word = /schema\s+$/iu.exec(this.#bytes.subarray(0, from).toString('latin1'))?.[0] ?? ''
      const setting = word === '' ? '' : 'search_path TO '
      this.#edits.push({ from: from - word.length, to: from, put: `${setting}${ident(put)}, ` })
    }
  }

  #afterDot(place: number): Token | undefined {
    return this.#bytes[place] === dot ? this.#token(place + 1) : undefined
  }

  /** An identifier as it is written, plain or in quotes. Other forms, such as U&"", are left alone. */
  #token(from: number): Token | undefined {
    if (from < 0) return undefined
    const rest = this.#bytes.subarray(from, from + tokenBytesMax).toString()
    const quoted = /^"((?:[^"]|"")*)"/u.exec(rest)
    if (quoted !== null) {
      const name = (quoted[1] ?? '').replaceAll('""', '"')
      return { name, from, to: from + Buffer.byteLength(quoted[0]) }
    }
    const plain = /^[\p{L}_][\p{L}\p{N}_$]*/u.exec(rest)?.[0]
    if (plain === undefined) return undefined
    const name = plain.replaceAll(/[A-Z]/gu, (letter) => letter.toLowerCase())
    return { name, from, to: from + Buffer.byteLength(plain) }
  }

  /** The end of a list of columns in parentheses that follows directly. */
  #closing(from: number): number | undefined {
    const rest = this.#bytes.subarray(from).toString()
    const columns = /^\s*\((?:\s*(?:"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_$]*)\s*,?)*\)/u.exec(
      rest,
    )?.[0]
    return columns === undefined ? undefined : from + Buffer.byteLength(columns)
  }
}

interface Token {
  readonly name: string
  readonly from: number
  readonly to: number
}

const dot = 0x2e
/** A name has 63 bytes; in quotes each may be doubled. */
const tokenBytesMax = 256

function locationOf(node: Tree): number {
  const { location } = node
  return typeof location === 'number' ? location : -1
}
