import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseTtl, printTtl, SallyportError } from '@sallyport/core'
import { isNode } from 'yaml'
import { printProblems, type ConfigProblem } from '../policies/config-problem.ts'
import { FieldReader } from '../policies/field-reader.ts'
import { YamlSource } from '../policies/yaml-source.ts'

/** How long recordings, and requests for approval, are kept, in milliseconds from the end of the session or request. */
export interface RetentionRules {
  /** Undefined where they are kept for ever. */
  readonly defaultMs: number | undefined
  /** Nothing may be kept for less. */
  readonly floorMs: number
  /** By connection; undefined where for ever. */
  readonly connections: ReadonlyMap<string, number | undefined>
  /** How long requests for approval are kept after their end; undefined where for ever. */
  readonly approvalsMs: number | undefined
  /** Erases by itself what is due. */
  readonly job: boolean
}

export const retentionFile = 'retention.yaml'

const keepAll: RetentionRules = {
  defaultMs: undefined,
  floorMs: 0,
  connections: new Map(),
  approvalsMs: undefined,
  job: false,
}

/** Reads `retention.yaml` of the data folder; without one, all is kept. Throws SP_CONFIG_INVALID with line and caret. */
export async function loadRetention(dataDir: string): Promise<RetentionRules> {
  const file = join(dataDir, retentionFile)
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return keepAll
  const read = readRetention(file, text)
  if (read.kind === 'ok') return read.rules
  const detail = printProblems(read.problems)
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

/** Reads the text of a file. One problem refuses all of it: half of such rules erases what the other half would have kept. */
export function readRetention(
  file: string,
  text: string,
):
  | { readonly kind: 'ok'; readonly rules: RetentionRules }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] } {
  const source = new YamlSource(file, text)
  const [document, second] = source.documents
  if (second !== undefined && isNode(second.contents))
    source.report('there is one document in this file', '', '', second.contents)
  const rules =
    document !== undefined && document.errors.length === 0
      ? readDocument(source, document.contents)
      : keepAll
  if (document === undefined) source.report('the file is empty', '', '', undefined)
  if (source.problems.length > 0) return { kind: 'refused', problems: source.problems }
  return { kind: 'ok', rules }
}

function readDocument(source: YamlSource, contents: unknown): RetentionRules {
  const names = ['apiVersion', 'kind', 'spec']
  const top = new FieldReader(source, contents, '', names)
  for (const name of names) top.require(name)
  top.oneOf('apiVersion', ['sallyport.dev/v1'])
  top.oneOf('kind', ['Retention'])
  if (!top.has('spec')) return keepAll
  const spec = new FieldReader(source, top.get('spec'), 'spec', [
    'default',
    'floor',
    'connections',
    'approvals',
    'job',
  ])
  spec.require('default')
  const floorMs = duration(spec, 'floor', 0) ?? 0
  const connections = new Map<string, number | undefined>()
  if (spec.has('connections')) {
    const each = new FieldReader(source, spec.get('connections'), spec.at('connections'), [])
    for (const name of each.names()) connections.set(name, duration(each, name, floorMs))
  }
  return {
    defaultMs: duration(spec, 'default', floorMs),
    floorMs,
    connections,
    approvalsMs: duration(spec, 'approvals', floorMs),
    job: spec.flag('job') ?? false,
  }
}

/** Undefined for `forever`, and where there is a problem. */
function duration(fields: FieldReader, name: string, floorMs: number): number | undefined {
  const text = fields.text(name)
  if (text === undefined || text === 'forever') return undefined
  const ms = parseTtl(text)
  if (typeof ms === 'string') {
    fields.report(name, `"${text}" ${ms}`, 'or forever')
    return undefined
  }
  if (ms < floorMs) {
    const hint = `write at least ${printTtl(floorMs)}`
    fields.report(name, `${fields.at(name)} is less than the floor`, hint)
  }
  return ms
}
