import { Worker } from 'node:worker_threads'
import { LoginRefused } from '../oidc/identity.ts'
import type { ResponseResult, ResponseTask } from './response-worker.ts'

/** A response with hundreds of groups has 50 KB. */
const responseCharactersMax = 512 * 1024
/** A response takes a tenth of a second, most of it the start of the thread. */
const timeoutMs = 20_000
const memoryMegabytes = 128
/** At most this many threads; who comes then is asked to come again. */
const threadsMax = 4

/** Signatures that are strong, over the bytes as they are: nothing else may transform what was signed. */
const algorithms = new Set([
  'http://www.w3.org/2000/09/xmldsig#enveloped-signature',
  'http://www.w3.org/2001/10/xml-exc-c14n#',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha384',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
  'http://www.w3.org/2001/04/xmlenc#sha256',
  'http://www.w3.org/2001/04/xmldsig-more#sha384',
  'http://www.w3.org/2001/04/xmlenc#sha512',
])

let threads = 0

/** Verifies a response in a thread, and returns its assertion as it was signed. Throws a LoginRefused. */
export async function verifyResponse(task: Omit<ResponseTask, 'isWhole'>): Promise<unknown> {
  const xml = decode(task.response)
  refuseOddText(xml)
  // Of the assertion, and of the response around it: one that is there has to be right.
  const signatures = countOf(xml, 'Signature')
  if (signatures > 2) throw refused('it has too many signatures')
  if (threads >= threadsMax) throw new LoginRefused('too many logins at once. Begin again.')
  threads += 1
  try {
    const result = await runThread({ ...task, isWhole: signatures === 2 })
    if (result.kind === 'verified') return result.assertion
    throw refused(result.why)
  } finally {
    threads -= 1
  }
}

function decode(response: string): string {
  if (response.length > responseCharactersMax) throw new LoginRefused('the answer is too large')
  const base64 = response.replaceAll(/\s/gu, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/u.test(base64)) throw new LoginRefused('the answer is not base64')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'))
  } catch {
    throw new LoginRefused('the answer is not UTF-8')
  }
}

/**
 * What readers of XML have disagreed about: types and entities of documents, comments in names, sections of text, processing
 * instructions. No provider needs them, so a response with any is refused before it is parsed. What is left can be counted
 * without a parser.
 */
function refuseOddText(xml: string): void {
  if (xml.includes('<!')) throw refused('it has comments, sections or a document type')
  if (xml.replace(/^<\?xml [^?]*\?>/u, '').includes('<?')) throw refused('it has instructions')
  if (/<(?:[\w.-]+:)?Encrypted/u.test(xml)) throw refused('it is encrypted')
  if (countOf(xml, 'Assertion') !== 1) throw refused('it has not exactly one assertion')
  // Without quotes it is no XML, but some read it.
  for (const [, double, single] of xml.matchAll(/\bAlgorithm\s*=\s*(?:"([^"]*)"|'([^']*)'|)/gu))
    if (!algorithms.has(double ?? single ?? '')) throw refused('its algorithms are not accepted')
}

/** How often an element begins, whatever its prefix. */
function countOf(xml: string, name: string): number {
  return [...xml.matchAll(new RegExp(`<(?:[^\\s<>/:]+:)?${name}[\\s/>]`, 'gu'))].length
}

function refused(why: string): LoginRefused {
  return new LoginRefused(`the provider's answer is not accepted: ${why}`)
}

async function runThread(task: ResponseTask): Promise<ResponseResult> {
  // The thread's file has the ending of this file: `.ts` from source, `.js` when compiled.
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const thread = new Worker(new URL(`./response-worker.${ending}`, import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: memoryMegabytes },
    env: {},
    // What the reader of XML says about a stranger's text is not for the gateway's log.
    stdout: true,
    stderr: true,
  })
  const { promise, resolve, reject } = Promise.withResolvers<ResponseResult>()
  const timer = setTimeout(() => reject(new LoginRefused('the answer takes too long')), timeoutMs)
  thread.once('message', resolve)
  thread.once('error', reject)
  thread.once('exit', () => reject(new LoginRefused('the answer cannot be read')))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    await thread.terminate()
  }
}
