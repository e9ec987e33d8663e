import { at, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { typeName } from './cast-rules.ts'

/** How firmly a name holds: a cast gives its type's only to what has no better one (`FigureColnameInternal` in the server's source). */
interface Named {
  readonly name: string
  readonly strength: 0 | 1 | 2
}

/** What the server calls an expression without a name. */
const nobody: Named = { name: '?column?', strength: 0 }

/** The name that the server gives an output without an alias; undefined where its versions differ. */
export function outputName(value: Tree): string | undefined {
  return named(value)?.name
}

function named(value: Tree): Named | undefined {
  const { tag, body } = unwrap(value) ?? { tag: '', body: {} }
  const fixed = fixedNames[tag]
  if (fixed !== undefined) return firm(fixed)
  switch (tag) {
    case 'ColumnRef':
      return firm(words(list(body, 'fields')).at(-1))
    case 'A_Indirection': {
      const name = words(list(body, 'indirection')).at(-1)
      return name === undefined ? named(at(body, 'arg') ?? {}) : firm(name)
    }
    case 'FuncCall':
      return firm(words(list(body, 'funcname')).at(-1))
    case 'A_Expr':
      return text(body, 'kind') === 'AEXPR_NULLIF' ? firm('nullif') : nobody
    case 'TypeCast': {
      const inner = named(at(body, 'arg') ?? {})
      if (inner?.strength === 2) return inner
      return inner && { name: typeName(at(body, 'typeName') ?? {}), strength: 1 }
    }
    case 'CollateClause':
      return named(at(body, 'arg') ?? {})
    case 'CaseExpr': {
      const inner =
        at(body, 'defresult') === undefined ? nobody : named(at(body, 'defresult') ?? {})
      return inner?.strength === 2 ? inner : inner && { name: 'case', strength: 1 }
    }
    case 'MinMaxExpr':
      return firm(text(body, 'op') === 'IS_LEAST' ? 'least' : 'greatest')
    case 'SubLink':
      return subqueryName(body)
    case 'XmlExpr': {
      const kind = text(body, 'op')
      return kind === 'IS_DOCUMENT' ? nobody : firm(kind.replace(/^IS_/, '').toLowerCase())
    }
    case 'ParamRef':
    case 'BoolExpr':
    case 'NullTest':
    case 'BooleanTest':
      return nobody
    case 'A_Const':
      // Truth values were casts once, and had the name of their type.
      return at(body, 'boolval') === undefined ? nobody : undefined
    default:
      return undefined
  }
}

const fixedNames: Readonly<Record<string, string>> = {
  CoalesceExpr: 'coalesce',
  A_ArrayExpr: 'array',
  RowExpr: 'row',
  GroupingFunc: 'grouping',
  XmlSerialize: 'xmlserialize',
}

function subqueryName(body: Tree): Named | undefined {
  switch (text(body, 'subLinkType')) {
    case 'EXISTS_SUBLINK':
      return firm('exists')
    case 'ARRAY_SUBLINK':
      return firm('array')
    case 'EXPR_SUBLINK': {
      const select = at(at(body, 'subselect') ?? {}, 'SelectStmt') ?? {}
      const target = at(list(select, 'targetList')[0] ?? {}, 'ResTarget')
      // A set operation has its list in its leftmost side.
      if (target === undefined) return undefined
      const name = text(target, 'name')
      return name === '' ? named(at(target, 'val') ?? {}) : firm(name)
    }
    default:
      return nobody
  }
}

function firm(name: string | undefined): Named | undefined {
  return name === undefined ? undefined : { name, strength: 2 }
}
