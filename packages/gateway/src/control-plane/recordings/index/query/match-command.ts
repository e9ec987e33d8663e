import { parseName } from '../parse-name.ts'
import { marks, type Mark } from '../terms.ts'
import { wordsOf } from './named-words.ts'
import type { Glob, NameField, SizeTest, Term } from './query.ts'
import { holds } from './compile-query.ts'

/** A command as far as it is known: what a search would find of it. */
export interface KnownCommand {
  /** Its words; see `terms.ts`. */
  readonly terms: ReadonlySet<string>
  readonly text: string
  readonly rows: number
  readonly bytes: number
  /** Nothing more becomes known of it. */
  readonly isOver: boolean
}

/** Words of these may still come while a command goes on. */
const laterFields: ReadonlySet<NameField> = new Set(['returned', 'masked'])
const firstVerdicts: ReadonlySet<string> = new Set([
  'allowed',
  'held',
  'blocked',
  'would-allow',
  'would-mask',
  'would-hold',
  'would-block',
])

/** Whether a command is what all of these terms ask for; undefined while that is not known. */
export function matchesCommand(terms: readonly Term[], command: KnownCommand): boolean | undefined {
  let all: boolean | undefined = true
  for (const each of terms) {
    const is = positive(each, command)
    const matches = is === undefined ? undefined : is !== each.isNegated
    if (matches === false) return false
    if (matches === undefined) all = undefined
  }
  return all
}

function positive(each: Term, command: KnownCommand): boolean | undefined {
  switch (each.kind) {
    case 'name': {
      if (hasName(each.field, each.values, command)) return true
      return command.isOver || !mayCome(each.field, each.values) ? false : undefined
    }
    case 'object':
      return each.values.some((parts) => hasObject(parts, command))
    case 'text': {
      const text = command.text.toLowerCase()
      return each.values.some((part) => text.includes(part.toLowerCase()))
    }
    case 'word':
      return each.values.some((word) =>
        new RegExp(String.raw`(?<![\p{L}\p{N}_])${word}(?![\p{L}\p{N}_])`, 'iu').test(command.text),
      )
    case 'size': {
      if (each.field === 'level') return undefined
      const size = command[each.field]
      const tests = command.isOver ? each.values : each.values.filter(onlyGrows)
      const isMet = tests.some((test) => holds(size, test))
      return isMet || command.isOver ? isMet : undefined
    }
    case 'time':
      return undefined
  }
}

/** A size that is large enough stays so. */
function onlyGrows({ is }: SizeTest): boolean {
  return is === '>' || is === '>='
}

function mayCome(field: NameField, values: readonly Glob[]): boolean {
  if (field !== 'verdict') return laterFields.has(field)
  return values.some((glob) => glob.length > 1 || !firstVerdicts.has(glob.join('')))
}

function hasName(field: NameField, values: readonly Glob[], { terms }: KnownCommand): boolean {
  return wordsOf[field].names.some((mark) =>
    wordsWith(terms, mark).some((word) => values.some((glob) => fits(glob, word))),
  )
}

function hasObject(parts: readonly Glob[], { terms }: KnownCommand): boolean {
  return wordsWith(terms, 'object').some((word) => {
    const name = parseName(word)
    return name.length === parts.length && parts.every((glob, at) => fits(glob, name[at] ?? ''))
  })
}

function wordsWith(terms: ReadonlySet<string>, mark: Mark): string[] {
  const prefix = marks[mark]
  return [...terms].flatMap((word) => (word.startsWith(prefix) ? [word.slice(prefix.length)] : []))
}

/** A name with wildcards is met whole. */
export function fits(glob: Glob, name: string): boolean {
  const [first = ''] = glob
  if (glob.length === 1) return name === first
  let at = 0
  for (const [index, piece] of glob.entries()) {
    const found = index === glob.length - 1 ? name.length - piece.length : name.indexOf(piece, at)
    if (found < at || (index === 0 && found !== 0) || !name.startsWith(piece, found)) return false
    at = found + piece.length
  }
  return true
}
