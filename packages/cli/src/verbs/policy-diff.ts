import { SallyportError } from '@sallyport/core'
import { printProblems, readPolicyFiles, type PolicyFile } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printList } from '../output.ts'
import { policyFiles } from './policy-files.ts'

/** A policy or a rule that differs between files and what the gateway serves. */
interface Difference {
  readonly change: 'added' | 'removed' | 'changed'
  /** `policy` or `policy/rule`. */
  readonly name: string
  /** What is changed of it: fields. */
  readonly fields: readonly string[]
}

/** Compares files with what the gateway serves, by what they mean: comments, order and names of files make no difference. Exit code 8 where something differs. */
export async function diff(context: VerbContext, paths: readonly string[]): Promise<number> {
  const api = await context.api()
  const there = partsOf(await policyFiles(paths))
  const served = partsOf(await api.call('GET /v1/policies/files'))
  const names = [...new Set([...served.keys(), ...there.keys()])].toSorted()
  const differences = names.flatMap((name) => differenceOf(name, served.get(name), there.get(name)))
  const columns = {
    CHANGE: (row: Difference) => row.change,
    NAME: (row: Difference) => printable(row.name),
    FIELDS: (row: Difference) => row.fields.join(', '),
  }
  await printList(context.output, differences, columns, (row) => row.name)
  if (differences.length === 0) context.output.say('No difference.\n')
  return differences.length === 0 ? EXIT.done : EXIT.findings
}

type Part = Readonly<Record<string, unknown>>

function partsOf(files: readonly PolicyFile[]): ReadonlyMap<string, Part> {
  const loaded = readPolicyFiles(files)
  if (loaded.kind === 'refused')
    throw new SallyportError(
      'SP_CONFIG_INVALID',
      printProblems(loaded.problems, 'Nothing was compared.'),
    )
  const parts = new Map<string, Part>()
  for (const { rules, ...policy } of loaded.policies) {
    parts.set(policy.name, policy)
    for (const { at: _at, ...rule } of rules) parts.set(`${policy.name}/${rule.name}`, rule)
  }
  return parts
}

function differenceOf(
  name: string,
  served: Part | undefined,
  there: Part | undefined,
): Difference[] {
  if (served === undefined) return [{ change: 'added', name, fields: [] }]
  if (there === undefined) return [{ change: 'removed', name, fields: [] }]
  const fields = [...new Set([...Object.keys(served), ...Object.keys(there)])].filter(
    (field) => JSON.stringify(served[field]) !== JSON.stringify(there[field]),
  )
  return fields.length === 0 ? [] : [{ change: 'changed', name, fields: fields.map(fileWord) }]
}

/** A field as files have it. */
function fileWord(field: string): string {
  return field === 'masks' ? 'mask' : field
}
