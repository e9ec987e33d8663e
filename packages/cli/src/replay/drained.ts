/** Waits until who reads standard output has taken what was written: what is sent faster must not pile up here. */
export async function drained(): Promise<void> {
  if (process.stdout.writableNeedDrain)
    await new Promise<void>((resolve) => void process.stdout.once('drain', resolve))
}
