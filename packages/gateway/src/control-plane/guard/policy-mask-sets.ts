import { type MaskRule, type MaskSet, maskSetOf, matchesAny, type Policy } from '@sallyport/core'

/** With more groups of rules than this, one role hides all that any of them does: the number of sets doubles with each. */
const groupsMax = 3

/**
 * The mask sets that callers of a connection can have. Rules that hold for the same callers under the same condition are
 * one group, and each choice of groups is a set: which of them a session gets is known when it is opened.
 */
export function maskSetsOf(
  policies: readonly Policy[],
  connection: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
): MaskSet[] {
  const groups = new Map<string, Pick<MaskRule, 'columns' | 'with'>[]>()
  for (const policy of policies) {
    if (policy.mode === 'observe' || !mayApply(policy, connection)) continue
    for (const rule of policy.rules) {
      if (rule.effect !== 'mask' || rule.observe) continue
      if (!rule.on.includes('sql') && !rule.on.includes('any')) continue
      const masks = rule.masks.filter((mask) => mask.columns.length > 0)
      if (masks.length === 0) continue
      const key = JSON.stringify([policy.applies.to.toSorted(), rule.when])
      groups.set(key, [...(groups.get(key) ?? []), ...masks])
    }
  }
  const all = [...groups.values()]
  const choices = all.length <= groupsMax ? choicesOf(all) : [all]
  const sets = choices.flatMap((choice) => maskSetOf(choice.flat()) ?? [])
  return [...new Map(sets.map((set) => [set.id, set])).values()].toSorted(
    (a, b) => a.lines.length - b.lines.length || (a.id < b.id ? -1 : 1),
  )
}

/** All choices of at least one. */
function choicesOf<T>(items: readonly T[]): T[][] {
  let choices: T[][] = [[]]
  for (const item of items) choices = choices.flatMap((choice) => [choice, [...choice, item]])
  return choices.filter((choice) => choice.length > 0)
}

/** Who asks is not known here, so a policy for some callers counts. */
function mayApply(
  { applies }: Policy,
  connection: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
): boolean {
  const { connections, labels } = applies
  if (connections.length > 0 && !matchesAny(connections, connection.name)) return false
  return Object.entries(labels).every(
    ([name, glob]) =>
      Object.hasOwn(connection.labels, name) && matchesAny([glob], connection.labels[name] ?? ''),
  )
}
