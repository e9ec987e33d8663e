import type { Hono } from 'hono'
import { serve } from '../api/serve.ts'
import { bytesOf } from '../bytes-of.ts'
import {
  policyEndpoints,
  type Explanation,
  type KnownGroup,
  type PolicyVersion,
  type PolicyVersionView,
  type RecordedCommand,
} from '../contract/policies.ts'
import type { PolicyFile } from './load-policy-folder.ts'

/** A command that nobody sends, and who would. */
export interface TriedCommand {
  readonly connection: string
  /** Id of an agent, or the beginning of it. */
  readonly agent: string
  readonly level: number
  readonly text: string
}

/** What the API can do with policies. */
export interface PolicyOperations {
  /** Who is in which group, as far as it is known here. */
  groups(): Promise<Readonly<Record<string, KnownGroup>>>
  /** Of a decision, by its id or `session#number`. */
  explain(what: string): Promise<Explanation>
  tryCommand(command: TriedCommand): Promise<Explanation>
  /** The commands of a session, or one decision, to make tests of. */
  recorded(what: string): Promise<readonly RecordedCommand[]>
  /** What these files would have made of what was recorded since a time: JSON lines, as they come about. */
  simulate(files: readonly PolicyFile[], since: string): Promise<AsyncIterable<string>>
  /** The files that are in force. */
  files(): readonly PolicyFile[]
  /** Newest first. */
  versions(): Promise<readonly PolicyVersionView[]>
  version(number: number): Promise<PolicyVersion>
  /** Puts the files of a version in force again, as a new one. */
  revert(number: number): Promise<PolicyVersionView>
}

/** The routes of the policy workbench, for the owner. */
export function addPolicyRoutes(app: Hono, policies: PolicyOperations): void {
  serve(app, policyEndpoints, () => undefined, {
    'GET /v1/policies/groups': async () => await policies.groups(),
    'GET /v1/policies/versions': async () => await policies.versions(),
    'GET /v1/policies/versions/{number}': async ({ params }) =>
      await policies.version(params.number),
    'POST /v1/policies/versions/{number}/revert': async ({ params }) =>
      await policies.revert(params.number),
    'POST /v1/policies/simulate': async ({ body: { files, since }, context }) => {
      const lines = bytesOf(await policies.simulate(files, since))
      return context.body(lines, 200, { 'content-type': 'application/x-ndjson' })
    },
    'GET /v1/policies/files': () => policies.files(),
    'POST /v1/policies/explain': async ({ body }) => {
      const { connection, agent, level = levelDefault, command: text } = body
      return await policies.tryCommand({ connection, agent, level, text })
    },
    'GET /v1/policies/recorded/{what}': async ({ params }) => await policies.recorded(params.what),
    'GET /v1/decisions/{what}': async ({ params }) => await policies.explain(params.what),
  })
}

const levelDefault = 2
