import {
  BackendType,
  encodeBind,
  encodeDescribe,
  encodeExecute,
  encodeFunctionCall,
  encodeParse,
  encodeSync,
  frameType,
} from '@sallyport/wire'
import { encodeStep } from '../../fuzz/send-program.ts'
import type { CorpusStep } from './corpus.ts'

/** The oid of a function by its name: a FunctionCall message knows no names. */
export type FunctionOid = (name: string) => number

/** The messages of a step. One ReadyForQuery answers them. */
export function encodeCorpusStep(step: CorpusStep, functionOid: FunctionOid): Buffer[] {
  const parameters = step.parameters.map((value) => Buffer.from(value))
  if (step.call !== undefined) {
    const oid = functionOid(step.call)
    return [
      encodeFunctionCall({ oid, argumentFormats: [], arguments: parameters, resultFormat: 0 }),
    ]
  }
  if (parameters.length === 0) return encodeStep(step)
  const resultFormats = step.delivery === 'binary' ? [1] : []
  return [
    encodeParse({ statement: '', text: step.sql, parameterTypes: [] }),
    encodeBind({ portal: '', statement: '', parameterFormats: [], parameters, resultFormats }),
    encodeDescribe({ target: 'portal', name: '' }),
    encodeExecute({ portal: '', rowsMax: 0 }),
    encodeSync(),
  ]
}

/** The frames up to each ReadyForQuery. */
export function framesByStep(frames: readonly Buffer[]): Buffer[][] {
  const groups: Buffer[][] = [[]]
  for (const frame of frames) {
    groups.at(-1)?.push(frame)
    if (frameType(frame, 0) === BackendType.readyForQuery) groups.push([])
  }
  return groups.filter((group) => group.length > 0)
}
