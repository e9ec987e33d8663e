import { readFileSync } from 'node:fs'
import { request as requestPlain, type IncomingMessage } from 'node:http'
import { request as requestTls } from 'node:https'
import { SallyportError } from '@sallyport/core'
import type { JWTPayload } from 'jose'
import type { TokenReview } from '../config/identity-config.ts'
import { claimText } from './claims.ts'

/** A cluster that answers slower is down. */
const timeoutMs = 5000
const answerBytesMax = 64 * 1024
const path = '/apis/authentication.k8s.io/v1/tokenreviews'

/**
 * Asks a cluster whether it knows a token now (TokenReview, authentication.k8s.io/v1): one whose pod, node or service account is
 * gone is known no more, though its signature is good. Returns why the token is refused, or nothing; throws
 * `SP_TARGET_UNREACHABLE` where the cluster does not answer.
 */
export async function reviewToken(
  token: string,
  claims: JWTPayload,
  audience: string,
  review: TokenReview,
): Promise<string | undefined> {
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [audience] },
  })
  const status = fieldOf(parse(await post(review, body), review.url), 'status')
  if (fieldOf(status, 'authenticated') !== true) return 'the cluster does not know it any more'
  const audiences = fieldOf(status, 'audiences')
  // A cluster that does not look at audiences answers for its own, and then the token may be for anybody.
  if (!Array.isArray(audiences) || !audiences.includes(audience))
    return 'the cluster says that it is for another audience'
  const namespace = claimText(claims, '/kubernetes.io/namespace')
  const account = claimText(claims, '/kubernetes.io/serviceaccount/name')
  const user = fieldOf(status, 'user')
  if (fieldOf(user, 'username') !== `system:serviceaccount:${namespace}:${account}`)
    return 'the cluster says that it is of another service account'
  if (fieldOf(user, 'uid') !== claimText(claims, '/kubernetes.io/serviceaccount/uid'))
    return 'the service account was deleted and made again'
  return undefined
}

function post({ url, caFile, token }: TokenReview, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const target = new URL(path, url)
  const options = {
    method: 'POST',
    signal: AbortSignal.timeout(timeoutMs),
    headers: {
      authorization: `Bearer ${token.expose()}`,
      'content-type': 'application/json',
      accept: 'application/json',
    },
  }
  const failed = (cause: unknown): void =>
    reject(cause instanceof SallyportError ? cause : unreachable(url, 'does not answer', cause))
  const answered = (answer: IncomingMessage): void => {
    // A redirect is an answer like any other: the token is sent nowhere else.
    if (answer.statusCode !== 200 && answer.statusCode !== 201) {
      answer.destroy()
      failed(unreachable(url, `answers ${answer.statusCode}`))
    } else readAll(answer, url).then(resolve, failed)
  }
  try {
    const request =
      target.protocol === 'http:'
        ? requestPlain(target, options, answered)
        : requestTls(target, { ...options, ...caOf(caFile) }, answered)
    request.on('error', failed).end(body)
  } catch (error) {
    failed(error)
  }
  return promise
}

/** Read at each review: a cluster may change its authority while the gateway runs. */
function caOf(caFile: string | undefined): { readonly ca?: string } {
  return caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }
}

async function readAll(answer: IncomingMessage, url: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > answerBytesMax) throw unreachable(url, 'answers with too much')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw unreachable(url, 'does not answer with JSON', cause)
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}

function unreachable(url: string, why: string, cause?: unknown): SallyportError {
  return new SallyportError('SP_TARGET_UNREACHABLE', `the cluster at ${url} ${why}`, {
    cause,
    detail: 'the cluster of the token cannot be asked',
  })
}
