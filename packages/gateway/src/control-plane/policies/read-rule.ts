import {
  DETECTOR_GROUPS,
  DETECTORS,
  compileCondition,
  factSchema,
  INFERENCE_MODES,
  RULE_SUBJECTS,
  type ApprovalDemand,
  type MaskFunction,
  type Rule,
} from '@sallyport/core'
import { isScalar } from 'yaml'
import { celConditions } from '../../conditions/cel-conditions.ts'
import { FieldReader } from './field-reader.ts'
import { readApprovalDemand } from './read-approval-demand.ts'
import type { YamlSource } from './yaml-source.ts'

const ruleFields =
  'name on when effect message approve mask unresolved inference coversUnknown observe owner'.split(
    ' ',
  )
const detectors = [...DETECTOR_GROUPS.keys(), ...DETECTORS.keys()]
const maskFunctions = [
  'block',
  'null',
  'redact',
  'hash',
  'token',
  'fake',
  'last4',
  'partial',
] as const
/** Lower case, so that names read the same in files, logs and messages. */
export const namePattern = /^[a-z0-9][a-z0-9-]{0,62}$/u
const messageLengthMax = 300

/** Reads one rule and compiles its condition; undefined where something is wrong, which is then reported. */
export function readRule(source: YamlSource, node: unknown, path: string): Rule | undefined {
  const before = source.problems.length
  const fields = new FieldReader(source, node, path, ruleFields)
  for (const name of ['name', 'on', 'when', 'effect']) fields.require(name)
  const name = fields.text('name') ?? ''
  if (fields.has('name') && !namePattern.test(name)) {
    fields.report('name', `"${name}" is not a name`, 'use a-z, 0-9 and -, at most 63 characters')
  }
  const on = fields.listOf('on', RULE_SUBJECTS, true)
  if (source.problems.length === before && on.length === 0)
    fields.report('on', 'on names no subject')
  const effect = fields.oneOf('effect', ['block', 'approve', 'mask', 'allow'])
  const when = fields.text('when') ?? ''
  if (source.problems.length === before) checkCondition(fields, when, on)
  const approve = readApproval(fields, effect)
  const owner = fields.text('owner')
  const rule = {
    name,
    on,
    when,
    effect: effect ?? 'block',
    message: readMessage(fields, effect),
    masks: readMasks(fields, effect, on),
    coversUnknown: readCoversUnknown(fields, effect),
    observe: fields.flag('observe') ?? false,
    at: source.at(fields.node),
    ...(approve === undefined ? {} : { approve }),
    ...(owner === undefined ? {} : { owner }),
  }
  return source.problems.length === before ? rule : undefined
}

function checkCondition(fields: FieldReader, when: string, on: Rule['on']): void {
  const result = compileCondition(when, on, celConditions, factSchema)
  if (result.kind === 'ok') return
  for (const problem of result.problems) {
    const wrongSubject = problem.check === 'wrong-protocol'
    const node = fields.get(wrongSubject ? 'on' : 'when')
    if (wrongSubject || !isScalar(node)) fields.report('on', problem.message, '', problem.check)
    else fields.source.reportInScalar(problem.message, fields.at('when'), node, problem)
  }
}

function readMessage(fields: FieldReader, effect: Rule['effect'] | undefined): string {
  const message = fields.text('message')
  const needed = effect === 'block' || effect === 'approve'
  if (needed) fields.require('message')
  if ((message?.length ?? 0) > messageLengthMax) {
    fields.report('message', `a message has at most ${messageLengthMax} characters`)
  }
  return message ?? ''
}

function readCoversUnknown(fields: FieldReader, effect: Rule['effect'] | undefined): boolean {
  const covers = fields.flag('coversUnknown') ?? false
  if (covers && (effect === 'block' || effect === 'mask')) {
    fields.report('coversUnknown', 'coversUnknown is for allow and approve rules')
  }
  return covers
}

function readApproval(
  fields: FieldReader,
  effect: Rule['effect'] | undefined,
): ApprovalDemand | undefined {
  if (effect === 'approve') fields.require('approve')
  else if (fields.has('approve'))
    fields.report('approve', 'approve is for rules with effect: approve')
  if (!fields.has('approve')) return undefined
  return readApprovalDemand(fields.source, fields.get('approve'), fields.at('approve'))
}

function readMasks(
  fields: FieldReader,
  effect: Rule['effect'] | undefined,
  on: Rule['on'],
): Rule['masks'] {
  const unresolved = fields.oneOf('unresolved', ['mask', 'block']) ?? 'mask'
  const inference = fields.oneOf('inference', INFERENCE_MODES)
  if (effect === 'mask') {
    fields.require('mask')
    if (on.includes('session')) fields.report('effect', 'a session has nothing to mask')
  } else {
    for (const name of ['mask', 'unresolved', 'inference']) {
      if (fields.has(name)) fields.report(name, `${name} is for rules with effect: mask`)
    }
  }
  return fields.items('mask').map(({ node, path }) => {
    const mask = new FieldReader(fields.source, node, path, ['columns', 'detect', 'with'])
    mask.require('with')
    const columns = mask.texts('columns').map((pattern, index) => readColumn(mask, pattern, index))
    const detect = mask.listOf('detect', detectors)
    if (!mask.has('columns') && !mask.has('detect'))
      mask.report('', 'a mask needs columns or detect')
    return {
      columns,
      detect,
      with: readFunction(mask),
      unresolved,
      ...(inference === undefined ? {} : { inference }),
    }
  })
}

function readColumn(mask: FieldReader, pattern: string, index: number): string[] {
  const parts = pattern.match(/"(?:[^"]|"")*"|[^."]+/gu) ?? []
  if (parts.join('.') !== pattern || parts.length < 2 || parts.length > 3) {
    mask.report(`columns`, `columns.${index}: "${pattern}" is not [schema.]table.column`)
  }
  return parts.map((part) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part,
  )
}

function readFunction(mask: FieldReader): MaskFunction {
  const text = mask.text('with') ?? ''
  const step = /^round:([1-9]\d{0,14}|day|month|year)$/u.exec(text)?.[1]
  if (step !== undefined) return `round:${step}`
  if (!mask.has('with')) return 'redact'
  return mask.oneOf('with', maskFunctions) ?? 'redact'
}
