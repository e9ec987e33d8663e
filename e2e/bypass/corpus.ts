import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import type { InferenceMode, MaskFunction, MaskRule } from '@sallyport/core'
import type { Delivery } from '../../fuzz/grammar/program.ts'

export const corpusFolder = join(import.meta.dirname, '../../corpus/bypass/postgres')

/** One message of the caller's, or the few that carry one text. */
export interface CorpusStep {
  readonly sql: string
  readonly delivery: Delivery
  /** Values of $1, $2, …, as text. */
  readonly parameters: readonly string[]
  /** What follows a COPY … FROM STDIN. */
  readonly copyData?: string
  /** SQL that the superuser runs past the gateway meanwhile, in the place of a message. */
  readonly elsewhere?: string
  /** A FunctionCall message in the place of a text: the function's name, called with `parameters`. */
  readonly call?: string
}

interface Row {
  /** `family/name`. */
  readonly id: string
  readonly steps: readonly CorpusStep[]
}

/**
 * Where nothing stands in its way, an attack shows a planted value, or tells two worlds apart that differ in masked values
 * alone, or has an effect.
 */
export interface Attack extends Row {
  /** SQL of the superuser's that gives something else after the attack than before; undefined for one that reads. */
  readonly effect: string | undefined
  /** SQL of the superuser's that takes back what no copy of a database takes back. */
  readonly undo: readonly string[]
  /** Major version of the first server that understands it, where that is not the oldest supported one. */
  readonly server: string | undefined
  /** `masked`, or the code of the refusal. */
  readonly want: string
}

export interface BenignRow extends Row {
  /** Columns, counted from 1, that are masked in the answer to each step that returns rows. */
  readonly masked: readonly number[]
}

type Fields = Readonly<Record<string, unknown>>

const familyFields = ['about', 'server', 'want', 'rows']
const attackFields = ['run', 'want', 'effect', 'undo']
const benignFields = ['run', 'masked']
const stepFields = ['sql', 'as', 'with', 'data', 'call', 'elsewhere']
const deliveries: readonly Delivery[] = ['simple', 'extended', 'binary', 'described', 'portions']

export function loadAttacks(): readonly Attack[] {
  return familiesIn('attacks').flatMap(({ name: family, fields }) => {
    allow(family, fields, familyFields)
    return Object.entries(asFields(fields['rows'])).map(([name, value]) => {
      const id = `${family}/${name}`
      const row = rowFields(value)
      allow(id, row, attackFields)
      return {
        id,
        steps: stepsOf(id, row['run']),
        effect: row['effect'] as string | undefined,
        server: fields['server'] as string | undefined,
        undo: textsOf(row['undo'] ?? []),
        want: asText(row['want'] ?? fields['want'] ?? 'masked'),
      }
    })
  })
}

export function loadBenignRows(): readonly BenignRow[] {
  return familiesIn('benign').flatMap(({ name: family, fields }) => {
    allow(family, fields, familyFields)
    return Object.entries(asFields(fields['rows'])).map(([name, value]) => {
      const id = `${family}/${name}`
      const row = rowFields(value)
      allow(id, row, benignFields)
      return {
        id,
        steps: stepsOf(id, row['run']),
        masked: (row['masked'] ?? []) as readonly number[],
      }
    })
  })
}

/** The masks of the corpus's policy. */
export function corpusMasks(): readonly MaskRule[] {
  const policy = asFields(parse(readFileSync(join(corpusFolder, 'policy.yaml'), 'utf8')))
  const rules = asFields(policy['spec'])['rules'] as readonly Fields[]
  return rules.flatMap((rule) =>
    ((rule['mask'] ?? []) as readonly Fields[]).map((mask) => ({
      rule: asText(rule['name']),
      columns: textsOf(mask['columns']).map((pattern) => pattern.split('.')),
      detect: [],
      with: asText(mask['with']) as MaskFunction,
      unresolved: 'mask',
      inference: asText(rule['inference']) as InferenceMode,
    })),
  )
}

function familiesIn(folder: string): { name: string; fields: Fields }[] {
  return globSync(join(corpusFolder, folder, '*.yaml'))
    .toSorted((a, b) => a.localeCompare(b))
    .map((file) => ({
      name: basename(file, '.yaml'),
      fields: asFields(parse(readFileSync(file, 'utf8'))),
    }))
}

/** A row that is nothing but a step, or a list of them, is what runs. */
function rowFields(value: unknown): Fields {
  if (typeof value === 'string' || Array.isArray(value)) return { run: value }
  const fields = asFields(value)
  return 'run' in fields ? fields : { run: [fields] }
}

function stepsOf(id: string, run: unknown): CorpusStep[] {
  const list: readonly unknown[] = Array.isArray(run) ? run : [run]
  return list.map((each) => {
    if (typeof each === 'string') return { sql: each, delivery: 'simple', parameters: [] }
    const fields = asFields(each)
    allow(id, fields, stepFields)
    const parameters = textsOf(fields['with'] ?? [])
    const delivery = oneOf(
      id,
      fields['as'] ?? (parameters.length > 0 ? 'extended' : 'simple'),
      deliveries,
    )
    return {
      sql: asText(fields['sql'] ?? ''),
      delivery,
      parameters,
      ...(fields['data'] === undefined ? {} : { copyData: asText(fields['data']) }),
      ...(fields['elsewhere'] === undefined ? {} : { elsewhere: asText(fields['elsewhere']) }),
      ...(fields['call'] === undefined ? {} : { call: asText(fields['call']) }),
    }
  })
}

function textsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).map(asText)
}

function asText(value: unknown): string {
  if (typeof value !== 'string') throw new Error(`no text: ${JSON.stringify(value)}`)
  return value
}

function asFields(value: unknown): Fields {
  if (typeof value !== 'object' || value === null)
    throw new Error(`no fields: ${JSON.stringify(value)}`)
  return value as Fields
}

function allow(where: string, fields: Fields, known: readonly string[]): void {
  const stranger = Object.keys(fields).find((name) => !known.includes(name))
  if (stranger !== undefined) throw new Error(`${where}: no field is called ${stranger}`)
}

function oneOf<Word extends string>(where: string, value: unknown, words: readonly Word[]): Word {
  const found = words.find((word) => word === value)
  if (found === undefined)
    throw new Error(`${where}: ${JSON.stringify(value)} is none of ${words.join()}`)
  return found
}
