import { serialize, type ASTNode } from '@marcbachmann/cel-js'
import type { ClauseTree, CompileResult } from '@sallyport/core'

/** Takes a condition apart at `&&`, `||` and `!`. What is left is compiled by itself. */
export function clausesOf(
  node: ASTNode,
  source: string,
  compile: (text: string) => CompileResult,
): ClauseTree {
  const inner = (one: ASTNode): ClauseTree => clausesOf(one, source, compile)
  if (node.op === '&&' || node.op === '||') {
    const kind = node.op === '&&' ? 'all' : 'any'
    return { kind, parts: operandsOf(node, node.op).map(inner) }
  }
  if (node.op === '!_' && isConnective(node.args)) return { kind: 'not', part: inner(node.args) }
  return clauseOf(node, source, compile)
}

/** `a && b && c` is one list of three. */
export function operandsOf(node: ASTNode, op: '&&' | '||'): ASTNode[] {
  return node.op === op ? node.args.flatMap((each) => operandsOf(each, op)) : [node]
}

function isConnective(node: ASTNode): boolean {
  return node.op === '&&' || node.op === '||' || node.op === '!_'
}

function clauseOf(
  node: ASTNode,
  source: string,
  compile: (text: string) => CompileResult,
): ClauseTree {
  // A range leaves out the parentheses at its ends: `(a + b) == c` begins at `a`.
  for (const text of [source.slice(node.start, node.end), serialize(node)]) {
    const result = compile(text)
    if (result.kind === 'ok') {
      const shown = text.replaceAll(/\s+/gu, ' ')
      return { kind: 'clause', text: shown, condition: result.condition }
    }
  }
  throw new Error('a part of a condition that compiled does not compile')
}
