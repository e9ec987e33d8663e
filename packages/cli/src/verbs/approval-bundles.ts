import { SallyportError, visibleText } from '@sallyport/core'
import type { BundleView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'
import type { AnswerFlags } from './approvals.ts'

const indent = ' '.repeat(4)

export async function listBundles(context: VerbContext): Promise<number> {
  const api = await context.api()
  const bundles = await api.call('GET /v1/approvals/bundles')
  const text = bundles.map(textOf).join('\n')
  const names = bundles.map(({ id }) => id).join('\n')
  await printOne(context.output, bundles, text === '' ? 'no bundles\n' : text, names)
  return EXIT.done
}

/** All of a bundle or none: what has come since its id was read makes it another one. */
export async function answerBundle(
  context: VerbContext,
  approval: string | undefined,
  decision: 'approve' | 'deny',
  { bundle = '', note, shape }: AnswerFlags,
): Promise<number> {
  if (approval !== undefined || shape !== undefined) {
    const detail = '--bundle stands alone: each of its requests is answered, once'
    throw new SallyportError('SP_CONFIG_INVALID', detail)
  }
  const api = await context.api()
  const found = (await api.call('GET /v1/approvals/bundles')).find(({ id }) => id === bundle)
  if (found === undefined) {
    const detail = `there is no bundle ${bundle} now. Look again: sallyport approvals bundles`
    throw new SallyportError('SP_APPROVAL_REFUSED', detail)
  }
  const ids = found.requests.map(({ id }) => id)
  const body = { decision, note, ids }
  const views = await api.call('POST /v1/approvals/bundles/{id}/answer', {
    params: { id: bundle },
    body,
  })
  const waits = views.some(({ state }) => state === 'pending')
  const done =
    decision === 'deny' ? 'denied' : waits ? 'noted, and more have to approve' : 'approved'
  const text = `✓ ${done}: ${found.title}, each once. ${ids.join(' ')}\n`
  await printOne(context.output, views, text, ids.join('\n'))
  return EXIT.done
}

function textOf({ id, title, connection, until, requests }: BundleView): string {
  const ends = age(Date.parse(until) - Date.now())
  const lines = requests.flatMap(({ id: request, chain, text, textLength, parameters }) => [
    `  ${request}  ${chain.join(' › ')}`,
    `${indent}${visibleText(text).replaceAll('\n', `\n${indent}`)}`,
    ...(textLength > text.length ? [`${indent}… ${textLength} characters in all`] : []),
    ...parameters.map((value, n) => `${indent}$${n + 1} = ${visibleText(value ?? 'NULL')}`),
  ])
  return [`${id}  ${visibleText(title)}  ${connection}  expires ${ends}`, ...lines, ''].join('\n')
}
