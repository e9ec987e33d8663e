import { SallyportError } from '@sallyport/core'
import type { ApprovalPages } from './oidc/login-routes.ts'

/** Nothing waits for an approval. */
export const noApprovals: ApprovalPages = {
  card: () => Promise.reject(new SallyportError('SP_NOT_FOUND', 'there is no such request')),
  answer: () => Promise.reject(new SallyportError('SP_NOT_FOUND', 'there is no such request')),
}
