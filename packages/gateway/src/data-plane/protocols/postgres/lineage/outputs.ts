import type { Output } from './context.ts'
import { either, type Flow } from './flow.ts'
import type { ScopeColumn } from './scope.ts'

/** All that a query gives, column by column and together. */
export function flowsOf({ columns, open }: Output): readonly Flow[] {
  const flows = columns.map(({ flow }) => flow)
  return open === undefined ? flows : [...flows, open]
}

/** The first columns under the names of an alias. */
export function renamed(output: Output, names: readonly string[]): Output {
  if (names.length === 0) return output
  if (output.open !== undefined) {
    // Which columns the names fall on can't be told.
    const flow = either(flowsOf(output))
    return { columns: [], open: flow }
  }
  const columns = output.columns.map((column, index): ScopeColumn => {
    const name = names[index]
    return name === undefined ? column : { ...withoutName(column), name }
  })
  return { columns, open: undefined }
}

function withoutName(column: ScopeColumn): ScopeColumn {
  const { isNameless: _, ...rest } = column
  return { ...rest, name: '' }
}
