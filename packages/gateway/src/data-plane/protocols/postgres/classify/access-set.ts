import type { Access } from '@sallyport/core'

/** Collects accesses without doubles. */
export class AccessSet {
  readonly #byKey = new Map<string, Access>()

  add(access: Access): void {
    this.#byKey.set(JSON.stringify([access.effect, access.object, access.resolved]), access)
  }

  all(): readonly Access[] {
    return withoutBare([...this.#byKey.values()])
  }
}

/** An access without an object says nothing where the same effect has one, unless it stands for something undetermined. */
export function withoutBare(accesses: readonly Access[]): readonly Access[] {
  const withObject = new Set(
    accesses.flatMap((one) => (one.object === undefined ? [] : [one.effect])),
  )
  return accesses.filter(
    ({ object, resolved, effect }) => object !== undefined || !resolved || !withObject.has(effect),
  )
}
