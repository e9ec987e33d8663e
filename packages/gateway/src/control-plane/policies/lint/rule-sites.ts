import { isMap, isScalar, isSeq, type Document, type Node, type YAMLMap } from 'yaml'
import type { ConfigProblem } from '../config-problem.ts'
import type { PolicyFile } from '../load-policy-folder.ts'
import { YamlSource } from '../yaml-source.ts'
import type { Finding } from './finding.ts'

/** Where a rule stands in its file, for findings about one of its fields. */
export interface RuleSite {
  readonly source: YamlSource
  readonly node: YAMLMap
}

/** Where all policies and rules of some files stand: by `policy` and `policy/rule`. */
export function ruleSites(files: readonly PolicyFile[]): ReadonlyMap<string, RuleSite> {
  const sites = new Map<string, RuleSite>()
  for (const { file, text } of files) {
    const source = new YamlSource(file, text)
    for (const document of source.documents) addSites(sites, source, document)
  }
  return sites
}

function addSites(sites: Map<string, RuleSite>, source: YamlSource, document: Document): void {
  const { contents } = document
  const spec = document.get('spec')
  if (!isMap(contents) || !isMap(spec)) return
  const policy = String(document.getIn(['metadata', 'name']))
  sites.set(policy, { source, node: spec })
  const rules = spec.get('rules')
  if (!isSeq(rules)) return
  for (const node of rules.items) {
    if (isMap(node)) sites.set(`${policy}/${String(node.get('name'))}`, { source, node })
  }
}

/** The value of a field, as it stands in the file. */
export function fieldOf({ node }: RuleSite, name: string): Node | undefined {
  const value = node.get(name, true)
  return isScalar(value) || isMap(value) || isSeq(value) ? value : undefined
}

/** Lets the file say where a node is. */
export function findingsAt(
  { source }: RuleSite,
  what: Pick<Finding, 'check' | 'severity' | 'rule'>,
  report: (source: YamlSource) => void,
): Finding[] {
  const before = source.problems.length
  report(source)
  return source.problems.splice(before).map((problem) => ({ ...refusal(problem), ...what }))
}

/** What keeps a file from being loaded, as a finding. */
export function refusal(problem: ConfigProblem): Finding {
  const { message, hint, file, line, column, length, check = 'schema' } = problem
  return { check, severity: 'error', message, hint, file, line, column, length }
}
