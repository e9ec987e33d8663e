import fc from 'fast-check'

/** Words that a cutter looks for, and all that may hide one: quotes, comments, names and dollar signs. */
const words = [
  'delete',
  'update',
  'insert',
  'select',
  'merge',
  'from',
  'only',
  'using',
  'where',
  'set',
  'returning',
  'with',
  'as',
  'and',
  'or',
  'not',
  'in',
  'values',
  'into',
  'limit',
  'union',
  'explain',
  'analyze',
  'for',
  't',
  'u',
  's.t',
  '"where"',
  '"using"',
  '"returning"',
  '"se""t"',
  '"😀 where"',
  'ä',
  '*',
  't.*',
  '(',
  ')',
  '((',
  '))',
  ',',
  ';',
  '=',
  '1',
  '0',
  "'x'",
  "'where'",
  "'it''s returning'",
  "e'\\' where '",
  '$$where$$',
  '$a$ ; delete from t $a$',
  '$1',
  '/* where */',
  '/* a /* b */ ; */',
  '-- using\n',
  "'",
  '"',
  'x',
  'id',
  'id = 1',
  'true',
  'null',
  'f()',
  'now()',
  '::int',
  'current of c',
  'x as (select 1)',
]

/** Any row of words: few of them are statements. */
export const wordSoup = fc
  .array(fc.constantFrom(...words), { maxLength: 14 })
  .map((each) => each.join(' '))

const name = fc.constantFrom(
  't',
  's.t',
  '"where"',
  '"us""ing"',
  '"returning"',
  'ärger',
  '"\u{1f600}"',
)
const alias = fc.constantFrom('', ' as a', ' a', ' as "set"', ' as "from"')
const value = fc.constantFrom(
  '1',
  "'x'",
  "'a where b'",
  '$1',
  '$$ using $$',
  'null',
  "e'\\' returning '",
)
const gap = fc.constantFrom(' ', '\n', '\t ', '  ')
const comment = fc.constantFrom('', '', '', '/* where ; */', '-- set\n', '/* delete from x */')

const condition = fc.oneof(
  fc
    .tuple(fc.constantFrom('id', '"where"', 'a.b'), fc.constantFrom('=', '<', '<>'), value)
    .map(join),
  value.map((each) => `id in (select 1 from u where x = ${each})`),
  value.map((each) => `exists (select from u using_, v where ${each} is null)`),
  fc.constantFrom('true', 'not (a or b)', "strpos('where', x) > 0", '(id, b) in ((1, 2))'),
)

function join(parts: readonly string[]): string {
  return parts.join(' ')
}

/** Statements that are written as people write them, with comments in odd places now and then. */
export const written = fc
  .record({
    verb: fc.constantFrom('delete', 'update', 'select', 'insert'),
    only: fc.boolean(),
    name,
    alias,
    more: fc.constantFrom('', 'u', 'u join v on u.x = v.x', '(select 1 as where_) as q'),
    where: fc.option(condition, { nil: undefined }),
    set: fc.constantFrom('x = 1', '"where" = 2', "x = 'set', y = (select 1 from u where true)"),
    returning: fc.constantFrom('', 'returning *', "returning id, 'returning' as r"),
    before: fc.constantFrom('', 'with c as (select 1 as where_) ', '  ', ';'),
    end: fc.constantFrom('', ';', ' ', '\n-- the end'),
    gap,
    comment,
    isUpper: fc.boolean(),
  })
  .map((one) => {
    const { gap: g, comment: c } = one
    const up = (text: string): string => (one.isUpper ? text.toUpperCase() : text)
    const where = one.where === undefined ? '' : `${up('where')}${g}${one.where}`
    const only = one.only ? `${up('only')} ` : ''
    const more = (word: string): string => (one.more === '' ? '' : `${g}${up(word)} ${one.more}`)
    const target = `${only}${one.name}${one.alias}`
    const statement = {
      delete: `${up('delete from')} ${target}${more('using')}${g}${where}${g}${one.returning}`,
      update: `${up('update')} ${target}${g}${up('set')} ${one.set}${more('from')}${g}${where}${g}${one.returning}`,
      select: `${up('select')} *${g}${up('from')} ${target}${g}${where}`,
      insert: `${up('insert into')} ${one.name}${g}select 1${g}${where}${g}${one.returning}`,
    }[one.verb]
    return { ...one, text: `${one.before}${c}${statement}${g}${c}${one.end}` }
  })
