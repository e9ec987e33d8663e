import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { SallyportError } from '@sallyport/core'
import { addressOf } from '../broker/gateway-address.ts'
import type { Adoption, GatewayPlace } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { GatewayApi } from '../gateway-api.ts'
import { printable } from '../output.ts'
import { clientId, post, refusedBy } from '../oauth.ts'
import { ProofKey } from '../proof-key.ts'
import type { LoginFlags } from './login.ts'
import { openBrowser } from './open-browser.ts'

/** What the device authorization endpoint answers (RFC 8628, section 3.2). */
interface DeviceCode {
  readonly device_code: string
  readonly user_code: string
  readonly verification_uri: string
  readonly verification_uri_complete?: string
  readonly expires_in: number
  readonly interval?: number
}

const intervalDefaultSeconds = 5
/** RFC 8628, section 3.5. */
const slowDownSeconds = 5

/** Logs in with a browser on any machine, by a code that a person types there (RFC 8628). */
export async function deviceLogin(
  context: VerbContext,
  gateway: GatewayPlace,
  flags: LoginFlags,
): Promise<Adoption> {
  const url = (await addressOf(gateway)).api
  const started = await post(url, '/oauth/device_authorization', {
    client_id: clientId,
    host: hostname(),
    ttl: flags.ttl,
  })
  if (!isDeviceCode(started.body)) throw refusedBy('SP_NOT_LOGGED_IN', started.body)
  const code = started.body
  context.output.say(printable(`Open ${code.verification_uri} and enter  ${code.user_code}`) + '\n')
  if (flags.browser) openBrowser(code.verification_uri_complete ?? code.verification_uri)
  const key = ProofKey.make()
  const handle = await poll(url, code, key)
  const agent = await new GatewayApi(url, handle, key).call('GET /v1/agents/{id}', {
    params: { id: 'self' },
  })
  return { handle, key: key.toText(), agent, gateway }
}

async function poll(url: string, code: DeviceCode, key: ProofKey): Promise<string> {
  const until = Date.now() + code.expires_in * 1000
  let seconds = code.interval ?? intervalDefaultSeconds
  while (Date.now() < until) {
    await sleep(seconds * 1000)
    const fields = {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: code.device_code,
      client_id: clientId,
    }
    const { body } = await post(url, '/oauth/token', fields, key)
    const { access_token: handle, error }: { access_token?: unknown; error?: unknown } = body
    if (typeof handle === 'string') return handle
    if (error === 'slow_down') seconds += slowDownSeconds
    else if (error !== 'authorization_pending') throw refusedBy('SP_NOT_LOGGED_IN', body)
  }
  throw new SallyportError('SP_NOT_LOGGED_IN', 'nobody entered the code in time')
}

function isDeviceCode(body: object): body is DeviceCode {
  return 'device_code' in body && 'user_code' in body && 'verification_uri' in body
}
