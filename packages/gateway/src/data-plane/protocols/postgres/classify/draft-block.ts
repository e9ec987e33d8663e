import type { DraftStatement } from './draft.ts'
import { readPlpgsql, unknownDraft, type ReadSql } from './read-plpgsql.ts'
import type { SqlParser } from './sql-parser.ts'
import { constantText, list, tagged, text, type Tree } from './tree.ts'

/** The statements of a DO. */
export function draftBlock(
  parser: SqlParser,
  body: Tree,
  readSql: ReadSql,
): readonly DraftStatement[] {
  const options = list(body, 'args').map((node) => tagged(node, 'DefElem') ?? {})
  const option = (name: string): string | undefined => {
    const found = options.find((each) => text(each, 'defname') === name)
    return found === undefined ? undefined : constantText(tagged(found, 'arg') ?? {})
  }
  if ((option('language') ?? 'plpgsql') !== 'plpgsql') return [unknownDraft('unknown-language')]
  const code = option('as')
  if (code === undefined) return [unknownDraft('unparsed-body')]
  const tag = freeTag(code)
  return readPlpgsql(parser, `DO ${tag}${code}${tag}`, readSql)
}

/** A dollar quote that the text does not contain. */
function freeTag(code: string): string {
  let tag = '$body$'
  for (let n = 0; code.includes(tag.slice(0, -1)); n += 1) tag = `$body${n}$`
  return tag
}
