/** Whoever is told to slow down waits: a tree may make only so many children and credentials a second. */
export async function retried<T>(make: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await make()
    } catch (error) {
      if (!String(error).includes(': 429 ')) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}
