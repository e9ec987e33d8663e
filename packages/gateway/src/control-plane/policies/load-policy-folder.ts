import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ApprovalDemand, Policy, Rule } from '@sallyport/core'
import { isNode, type Document } from 'yaml'
import type { ConfigProblem } from './config-problem.ts'
import { FieldReader } from './field-reader.ts'
import { readApprovalDemand } from './read-approval-demand.ts'
import { namePattern, readRule } from './read-rule.ts'
import { YamlSource } from './yaml-source.ts'

export type LoadedPolicies =
  | {
      readonly kind: 'ok'
      readonly policies: readonly Policy[]
      readonly files: readonly PolicyFile[]
    }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

/** All rules that apply are evaluated for each command; connections come and go, so all policies count together. */
const rulesMax = 1000
/** Larger files are mistakes. */
const fileCharactersMax = 1_048_576

/** Reads all policies of a folder. One problem in one file refuses all: half a policy is worse than the last whole one. */
export async function loadPolicyFolder(dir: string): Promise<LoadedPolicies> {
  const names = (await readdir(dir)).filter((name) => /\.ya?ml$/u.test(name)).sort()
  const files = await Promise.all(
    names.map(async (name) => ({
      file: join(dir, name),
      text: await readFile(join(dir, name), 'utf8'),
    })),
  )
  return readPolicyFiles(files)
}

/** A file of policies, or of tests of them. */
export interface PolicyFile {
  readonly file: string
  readonly text: string
}

/** Reads policies from the text of files, without touching the disk. */
export function readPolicyFiles(files: readonly PolicyFile[]): LoadedPolicies {
  const { policies, problems } = readWhatCanBeRead(files)
  return problems.length > 0 ? { kind: 'refused', problems } : { kind: 'ok', policies, files }
}

/** As `readPolicyFiles`, for those who look for problems: rules without one are there beside those that have some. */
export function readWhatCanBeRead(files: readonly PolicyFile[]): {
  readonly policies: readonly Policy[]
  readonly problems: readonly ConfigProblem[]
} {
  const problems: ConfigProblem[] = []
  const policies = new Map<string, Policy>()
  for (const { file, text } of files) {
    const source = new YamlSource(file, text.length > fileCharactersMax ? '' : text)
    if (text.length > fileCharactersMax) source.report('this file is too large', '', '', undefined)
    const before = ruleCount(policies)
    for (const document of source.documents) readDocument(source, document, policies)
    const count = ruleCount(policies)
    if (count > rulesMax && before <= rulesMax) {
      const hint = 'all policies of the folder count together'
      source.report(
        `there are ${count} rules up to here; at most ${rulesMax} are taken`,
        hint,
        '',
        undefined,
      )
    }
    problems.push(...source.problems)
  }
  return { policies: [...policies.values()], problems }
}

function ruleCount(policies: ReadonlyMap<string, Policy>): number {
  return [...policies.values()].reduce((sum, { rules }) => sum + rules.length, 0)
}

function readDocument(source: YamlSource, document: Document, policies: Map<string, Policy>): void {
  if (document.errors.length > 0 || !isNode(document.contents)) return
  // Tests may stand beside what they test; nobody runs them here.
  if (document.get('kind') === policyTestKind) return
  const top = new FieldReader(source, document.contents, '', topFields)
  for (const name of topFields) top.require(name)
  top.oneOf('apiVersion', ['sallyport.dev/v1'])
  top.oneOf('kind', ['Policy'])
  if (!top.has('metadata') || !top.has('spec')) return
  const metadata = new FieldReader(source, top.get('metadata'), 'metadata', ['name'])
  metadata.require('name')
  const name = metadata.text('name') ?? ''
  if (metadata.has('name') && !namePattern.test(name)) {
    metadata.report('name', `"${name}" is not a name`, 'use a-z, 0-9 and -, at most 63 characters')
  }
  if (policies.has(name))
    metadata.report('name', `there is another policy "${name}"`, '', 'duplicate-name')
  const policy = readSpec(new FieldReader(source, top.get('spec'), 'spec', specFields), name)
  policies.set(name, policy)
}

/** Documents of this kind say what policies have to decide; `sallyport policy test` reads them. */
export const policyTestKind = 'PolicyTest'
const topFields = ['apiVersion', 'kind', 'metadata', 'spec']
const specFields = ['owner', 'applies', 'mode', 'defaults', 'rules']
const effects = ['allow', 'approve', 'block'] as const

function readSpec(spec: FieldReader, name: string): Policy {
  spec.require('rules')
  return {
    name,
    owner: spec.text('owner') ?? '',
    applies: readApplies(spec),
    mode: spec.oneOf('mode', ['enforce', 'observe']) ?? 'enforce',
    defaults: readDefaults(spec),
    rules: readRules(spec),
  }
}

function readRules(spec: FieldReader): Rule[] {
  const rules = new Map<string, Rule>()
  for (const { node, path } of spec.items('rules')) {
    const rule = readRule(spec.source, node, path)
    if (rule === undefined) continue
    if (rules.has(rule.name)) {
      const message = `there is another rule "${rule.name}" in this policy`
      const at = isNode(node) ? node : undefined
      spec.source.report(message, '', path, at, 'duplicate-name')
    }
    rules.set(rule.name, rule)
  }
  return [...rules.values()]
}

function readApplies(spec: FieldReader): Policy['applies'] {
  if (!spec.has('applies')) return { connections: [], labels: {}, to: [] }
  const known = ['connections', 'labels', 'to']
  const applies = new FieldReader(spec.source, spec.get('applies'), spec.at('applies'), known)
  const to = applies.texts('to')
  for (const who of to) {
    if (!/^(?:group|user):./u.test(who)) {
      applies.report('to', `"${who}" is not group:name or user:name`)
    }
  }
  return { connections: applies.texts('connections'), labels: readLabels(applies), to }
}

function readLabels(applies: FieldReader): Record<string, string> {
  if (!applies.has('labels')) return {}
  const path = applies.at('labels')
  const labels = new FieldReader(applies.source, applies.get('labels'), path, [])
  return Object.fromEntries(labels.names().map((name) => [name, labels.text(name) ?? '']))
}

function readDefaults(spec: FieldReader): Policy['defaults'] {
  if (!spec.has('defaults')) return {}
  const known = ['unmatched', 'unknown', 'approve']
  const defaults = new FieldReader(spec.source, spec.get('defaults'), spec.at('defaults'), known)
  const unmatched = defaults.oneOf('unmatched', effects)
  const unknown = defaults.oneOf('unknown', effects)
  const approve = readDefaultApproval(defaults, unmatched === 'approve' || unknown === 'approve')
  return {
    ...(unmatched === undefined ? {} : { unmatched }),
    ...(unknown === undefined ? {} : { unknown }),
    ...(approve === undefined ? {} : { approve }),
  }
}

function readDefaultApproval(defaults: FieldReader, asks: boolean): ApprovalDemand | undefined {
  if (asks) defaults.require('approve')
  else if (defaults.has('approve')) {
    defaults.report('approve', 'approve is for defaults that say approve')
  }
  if (!defaults.has('approve')) return undefined
  return readApprovalDemand(defaults.source, defaults.get('approve'), defaults.at('approve'))
}
