import { once } from 'node:events'
import { createServer } from 'node:net'
import { SallyportError } from '@sallyport/core'

/**
 * Throws where something listens on the port already. Workers share their port with the operating system's leave, which
 * would as well let a second gateway of the same user take half of the first one's callers unnoticed.
 */
export async function refuseTakenPort(host: string, port: number, flag: string): Promise<void> {
  if (port === 0) return
  const probe = createServer()
  probe.listen({ host, port, exclusive: true })
  try {
    await once(probe, 'listening')
  } catch (cause) {
    const message = `port ${port} of ${host} cannot be used. Choose another: ${flag}`
    throw new SallyportError('SP_CONFIG_INVALID', message, { cause, detail: message })
  }
  probe.close()
  await once(probe, 'close')
}
