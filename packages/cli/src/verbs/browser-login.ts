import { createHash, randomBytes } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import { addressOf } from '../broker/gateway-address.ts'
import type { Adoption, GatewayPlace } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { GatewayApi } from '../gateway-api.ts'
import { clientId, loginServer, post, refusedBy } from '../oauth.ts'
import { printable } from '../output.ts'
import { ProofKey } from '../proof-key.ts'
import type { LoginFlags } from './login.ts'
import { type LoginAnswer, LoopbackReceiver } from './loopback-receiver.ts'
import { openBrowser } from './open-browser.ts'

/** As long as the gateway keeps a login that was begun. */
const loginMsMax = 10 * 60_000

/**
 * Logs in with a browser on this machine: authorization code and PKCE with a loopback redirect (RFC 8252, RFC 7636).
 * Undefined where no port of loopback can be had.
 */
export async function browserLogin(
  context: VerbContext,
  gateway: GatewayPlace,
  flags: LoginFlags,
): Promise<Adoption | undefined> {
  const { api: url } = await addressOf(gateway)
  const server = await loginServer(url, 'url' in gateway)
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(32).toString('base64url')
  const issuer = server.namesItself ? server.issuer : undefined
  const receiver = await LoopbackReceiver.open({ state, issuer }).catch(() => undefined)
  if (receiver === undefined) return undefined
  try {
    const { redirectUri } = receiver
    const begin = new URL(server.authorization)
    const asked = {
      response_type: 'code',
      client_id: clientId,
      redirect_uri: redirectUri,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      state,
      ttl: flags.ttl,
    }
    for (const [name, value] of Object.entries(asked)) begin.searchParams.set(name, value)
    const how = flags.browser ? '  (opened in your browser)' : ''
    context.output.say(printable(`Log in at ${begin.href}${how}`) + '\n')
    if (flags.browser) openBrowser(begin.href)
    const answer = await receiver.answer(loginMsMax)
    const key = ProofKey.make()
    const handle = await redeem(url, answer, { verifier, redirectUri }, key)
    await answer.leadTo(`${server.issuer}/login/done`)
    const agent = await new GatewayApi(url, handle, key).call('GET /v1/agents/{id}', {
      params: { id: 'self' },
    })
    return { handle, key: key.toText(), agent, gateway }
  } finally {
    receiver.close()
  }
}

async function redeem(
  url: string,
  answer: LoginAnswer,
  { verifier, redirectUri }: { readonly verifier: string; readonly redirectUri: string },
  key: ProofKey,
): Promise<string> {
  try {
    const fields = {
      grant_type: 'authorization_code',
      code: answer.code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
      client_id: clientId,
    }
    const { body } = await post(url, '/oauth/token', fields, key)
    const { access_token: handle }: { access_token?: unknown } = body
    if (typeof handle === 'string') return handle
    throw refusedBy('SP_NOT_LOGGED_IN', body)
  } catch (error) {
    await answer.tell('Not logged in', 'The terminal says why. You can close this window.')
    throw error instanceof SallyportError
      ? error
      : new SallyportError('SP_NOT_LOGGED_IN', 'the login failed', { cause: error })
  }
}
