import {
  BackendType,
  encodeBind,
  encodeCopyData,
  encodeCopyDone,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
  encodeSync,
  frameType,
} from '@sallyport/wire'
import type { Program, Step } from './grammar/program.ts'

/** A program as messages, and how many ReadyForQuery answer them. */
export interface Batch {
  readonly messages: readonly Buffer[]
  readonly readies: number
}

/** In a transaction of its own, so that the next program finds the tables as this one did. */
export function encodeProgram({ steps }: Program): Batch {
  const messages = [encodeQuery('begin'), ...steps.flatMap(encodeStep), encodeQuery('rollback')]
  return { messages, readies: steps.length + 2 }
}

/** The frames of each step, without those of the transaction around them. */
export function framesOfSteps(frames: readonly Buffer[]): Buffer[][] {
  const groups: Buffer[][] = [[]]
  for (const frame of frames) {
    groups.at(-1)?.push(frame)
    if (frameType(frame, 0) === BackendType.readyForQuery) groups.push([])
  }
  return groups.slice(1, -2)
}

export function encodeStep({ sql, delivery, copyData }: Step): Buffer[] {
  if (copyData !== undefined) {
    return [encodeQuery(sql), encodeCopyData(Buffer.from(copyData)), encodeCopyDone()]
  }
  if (delivery === 'simple') return [encodeQuery(sql)]
  const parse = encodeParse({ statement: '', text: sql, parameterTypes: [] })
  const bind = encodeBind({
    portal: '',
    statement: '',
    parameterFormats: [],
    parameters: [],
    resultFormats: delivery === 'binary' ? [1] : [],
  })
  const execute = encodeExecute({ portal: '', rowsMax: 0 })
  const some = encodeExecute({ portal: '', rowsMax: 2 })
  const sync = encodeSync()
  switch (delivery) {
    case 'described': {
      const [statement, portal] = [
        encodeDescribe({ target: 'statement', name: '' }),
        encodeDescribe({ target: 'portal', name: '' }),
      ]
      return [parse, statement, bind, portal, execute, sync]
    }
    case 'portions':
      return [parse, bind, some, execute, sync]
    case 'extended':
    case 'binary':
      return [parse, bind, execute, sync]
  }
}
