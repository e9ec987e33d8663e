/** A store that is away fails for all: there is no need to ask it for each. */
const failuresMax = 8

/**
 * Does `work` for each of `items`, at most `width` at once, and returns what failed. One that fails keeps no other from being
 * done, up to a number of failures.
 */
export async function inParallel<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<readonly unknown[]> {
  const rest = items.values()
  const failures: unknown[] = []
  const lane = async (): Promise<void> => {
    for (const item of rest) {
      try {
        await work(item)
      } catch (error) {
        failures.push(error)
      }
      if (failures.length >= failuresMax) return
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return failures
}
