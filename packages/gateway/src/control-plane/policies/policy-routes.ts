import type { Hono } from 'hono'
import type { KnownGroup } from './lint/lint-approvers.ts'

/** What the API can do with policies. */
export interface PolicyOperations {
  /** Who is in which group, as far as it is known here. */
  groups(): Promise<Readonly<Record<string, KnownGroup>>>
}

/** The routes of the policy workbench, for the owner. */
export function addPolicyRoutes(app: Hono, policies: PolicyOperations): void {
  app.get('/v1/policies/groups', async (context) => context.json(await policies.groups()))
}
