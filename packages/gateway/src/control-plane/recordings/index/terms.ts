import type { CommandEntry, ObjectName, SessionOpenedEntry } from '@sallyport/core'

/**
 * What a command or its session can be looked up by: one list of marked words each, so that one index answers every question
 * about names. The mark says what the word is. Words of a session stand with the session alone: it has many commands.
 */
export const marks = {
  treeId: 't:',
  treeName: 'T:',
  agentId: 'g:',
  agentName: 'G:',
  rootId: 'u:',
  rootName: 'U:',
  connection: 'c:',
  verdict: 'v:',
  rule: 'r:',
  object: 'o:',
  class: 'k:',
  verb: 'b:',
  level: 'l:',
  column: 'f:',
  mask: 'm:',
} as const
export type Mark = keyof typeof marks

/** Longer words are cut, in the index and in questions alike: an index entry has an end. */
const wordCharsMax = 250
/** Of objects and of columns; more of one command are not looked up. */
export const namesMax = 256

export function term(mark: Mark, word: string): string {
  return marks[mark] + plain(word).slice(0, wordCharsMax)
}

/** PostgreSQL's text has no NUL. */
export function plain(text: string): string {
  return text.replaceAll('\0', '\u{fffd}')
}

/** One text for a name: parts that are more than small letters, digits and `_` stand in quotes, so that no two names share it. */
export function printName(name: ObjectName): string {
  return name.map((part) => (/^[a-z_][a-z0-9_]*$/u.test(part) ? part : quoted(part))).join('.')
}

function quoted(part: string): string {
  return `"${part.replaceAll('"', '""')}"`
}

/** A name, and what is left of it where its first parts are not said: `public.orders` and `orders`. */
export function suffixes(name: ObjectName): ObjectName[] {
  return name.map((_, at) => name.slice(at))
}

/** The words of a session. */
export function sessionTerms({
  chain,
  connection,
  level,
}: Pick<SessionOpenedEntry, 'chain' | 'connection' | 'level'>): string[] {
  const root = chain[0]
  const agent = chain.at(-1)
  const words = [
    term('connection', connection),
    term('level', String(level)),
    ...(root === undefined ? [] : [term('rootId', root.id), term('rootName', root.name)]),
    ...(agent === undefined ? [] : [term('agentId', agent.id), term('agentName', agent.name)]),
    ...chain.flatMap(({ id, name }) => [term('treeId', id), term('treeName', name)]),
  ]
  return [...new Set(words)]
}

const verdicts = { allow: 'allowed', approve: 'held', block: 'blocked' } as const
export type IndexedVerdict = (typeof verdicts)[keyof typeof verdicts]

export function verdictOf({ effect }: CommandEntry): IndexedVerdict {
  return verdicts[effect]
}

/** The words of a command. */
export function commandTerms(entry: CommandEntry): string[] {
  return [
    term('verdict', verdictOf(entry)),
    term('class', entry.class),
    term('verb', entry.verb),
    ...entry.rules.flatMap(ruleTerms),
    ...entry.objects
      .slice(0, namesMax)
      .flatMap((name) => suffixes(name).map((each) => term('object', printName(each)))),
  ]
}

/** Rules in observe mode stand as `would-block policy/rule`. */
function ruleTerms(rule: string): string[] {
  const [, would, id = rule] = /^(would-[a-z]+) (.*)$/su.exec(rule) ?? []
  return [...nameTerms('rule', id), ...(would === undefined ? [] : [term('verdict', would)])]
}

export function maskTerms(rule: string): string[] {
  return [...nameTerms('mask', rule), term('verdict', 'masked')]
}

/** A rule is `policy/rule`, and may be asked for by its last part. */
function nameTerms(mark: Mark, id: string): string[] {
  const last = id.slice(id.lastIndexOf('/') + 1)
  return last === id ? [term(mark, id)] : [term(mark, id), term(mark, last)]
}
