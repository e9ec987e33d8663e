import { decodeErrorResponse, frameBody } from '@sallyport/wire'
import { refusalOf } from './worlds/canonical.ts'

/** Why a statement was refused, as far as masks are concerned. */
export type RefusalKind =
  | 'another rule of the policy'
  | 'masked columns decide about rows'
  | 'masked values would be moved, or their names'
  | 'a plan would show estimates'
  | 'something may fail'
  | 'not followed'

/** What `inference: block` and masks are there for: there is no answer to such a statement that tells nothing. */
export const byDesign: ReadonlySet<RefusalKind> = new Set<RefusalKind>([
  'masked columns decide about rows',
  'masked values would be moved, or their names',
  'a plan would show estimates',
])

/** The kind of a refusal, and its reason without the names that differ from statement to statement. */
export function reasonOf(
  frame: Buffer,
): { readonly kind: RefusalKind; readonly reason: string } | undefined {
  const code = refusalOf(frame)
  if (code === undefined) return undefined
  const message = decodeErrorResponse(frameBody(frame, 0)).fields.get('M') ?? ''
  const reason = message
    .replace(/^Sallyport: /, '')
    .replace(/^masked columns may not decide here: /, '')
    .replace(
      /(?:public\.)?\b(?:people|orders|badges|items|contacts|visits|scratch)\b(?:\.\w+)?/g,
      '…',
    )
    .replace(/USING \(\w+\)/, 'USING (…)')
  return { kind: kindOf(code, reason), reason: `${code}: ${reason}` }
}

function kindOf(code: string, reason: string): RefusalKind {
  if (code === 'SP_MASKED_WRITE') return 'masked values would be moved, or their names'
  if (code === 'SP_MASK_IMPOSSIBLE') return 'not followed'
  if (code !== 'SP_MASKED_INFERENCE') return 'another rule of the policy'
  if (reason.startsWith('a plan')) return 'a plan would show estimates'
  if (/fails$|^which |^whether |^the body of/.test(reason)) return 'something may fail'
  return 'masked columns decide about rows'
}
