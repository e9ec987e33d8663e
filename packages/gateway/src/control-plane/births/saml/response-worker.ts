/**
 * Verifies the signature of one SAML response, in a thread of its own: the XML of a stranger must take neither the memory nor
 * the time of the control plane, and what it breaks ends with the thread. Used by `verify-response.ts`.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { SAML, ValidateInResponseTo } from '@node-saml/node-saml'

/** What the thread is given. */
export interface ResponseTask {
  /** In base64. */
  readonly response: string
  readonly certificates: readonly string[]
  /** The response is signed too. */
  readonly isWhole: boolean
  readonly entityId: string
  readonly acsUrl: string
  readonly skewMs: number
  readonly ageMsMax: number
}

/** The assertion as it was signed, or why there is none. */
export type ResponseResult =
  | { readonly kind: 'verified'; readonly assertion: unknown }
  | { readonly kind: 'refused'; readonly why: string }

const task = workerData as ResponseTask
parentPort?.postMessage(await verify(task))

async function verify({
  response,
  certificates,
  isWhole,
  entityId,
  acsUrl,
  skewMs,
  ageMsMax,
}: ResponseTask): Promise<ResponseResult> {
  const saml = new SAML({
    idpCert: [...certificates],
    issuer: entityId,
    audience: entityId,
    callbackUrl: acsUrl,
    wantAssertionsSigned: true,
    wantAuthnResponseSigned: isWhole,
    acceptedClockSkewMs: skewMs,
    maxAssertionAgeMs: ageMsMax,
    // The flow knows what was asked: it holds the signed value against it.
    validateInResponseTo: ValidateInResponseTo.never,
  })
  try {
    const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: response })
    const assertion = profile?.getAssertion?.()
    if (assertion === undefined) return { kind: 'refused', why: 'it has no assertion' }
    return { kind: 'verified', assertion: structuredClone(assertion) }
  } catch (error) {
    return { kind: 'refused', why: error instanceof Error ? error.message : 'unknown' }
  }
}
