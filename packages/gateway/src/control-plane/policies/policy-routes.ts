import { SallyportError } from '@sallyport/core'
import type { Context, Hono } from 'hono'
import { bytesOf } from '../bytes-of.ts'
import type { Explanation } from './explain/explainer.ts'
import type { KnownGroup } from './lint/lint-approvers.ts'
import type { PolicyFile } from './load-policy-folder.ts'
import type { RecordedCommand } from './recorded-commands.ts'
import type { PolicyVersion, PolicyVersionView } from './policy-versions.ts'

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

type JsonBody = (context: Context) => Promise<unknown>

/** The routes of the policy workbench, for the owner: `jsonBody` reads what is sent. */
export function addPolicyRoutes(app: Hono, policies: PolicyOperations, jsonBody: JsonBody): void {
  app.get('/v1/policies/groups', async (context) => context.json(await policies.groups()))
  app.get('/v1/policies/versions', async (context) => context.json(await policies.versions()))
  app.get('/v1/policies/versions/:number', async (context) =>
    context.json(await policies.version(numberOf(context))),
  )
  app.post('/v1/policies/versions/:number/revert', async (context) =>
    context.json(await policies.revert(numberOf(context)), 201),
  )
  app.post('/v1/policies/simulate', async (context) => {
    const { files, since } = parseSimulation(await jsonBody(context))
    const lines = bytesOf(await policies.simulate(files, since))
    return context.body(lines, 200, { 'content-type': 'application/x-ndjson' })
  })
  app.get('/v1/policies/files', (context) => context.json(policies.files()))
  app.post('/v1/policies/explain', async (context) =>
    factsJson(context, await policies.tryCommand(parseTried(await jsonBody(context)))),
  )
  app.get('/v1/policies/recorded/:what', async (context) =>
    context.json(await policies.recorded(context.req.param('what'))),
  )
  app.get('/v1/decisions/:what', async (context) =>
    factsJson(context, await policies.explain(context.req.param('what'))),
  )
}

/** Numbers among facts are bigint, which JSON has no word for. */
function factsJson(context: Context, value: unknown): Response {
  const text = JSON.stringify(value, (_name, each: unknown) =>
    typeof each === 'bigint' ? Number(each) : each,
  )
  return context.body(text, 200, { 'content-type': 'application/json' })
}

function numberOf(context: Context): number {
  const text = context.req.param('number') ?? ''
  if (/^[1-9]\d{0,8}$/u.test(text)) return Number(text)
  throw invalid(`"${text}" is not the number of a version`)
}

const levelDefault = 2

function parseTried(body: unknown): TriedCommand {
  const {
    connection,
    agent,
    level = levelDefault,
    command,
  } = (body ?? {}) as Record<string, unknown>
  if (typeof connection !== 'string' || typeof agent !== 'string' || typeof command !== 'string')
    throw invalid('give connection, agent and command')
  if (typeof level !== 'number' || !Number.isInteger(level) || level < 0 || level > 4)
    throw invalid('level is a number from 0 to 4')
  return { connection, agent, level, text: command }
}

function parseSimulation(body: unknown): { files: readonly PolicyFile[]; since: string } {
  const { files, since } = (body ?? {}) as Record<string, unknown>
  if (typeof since !== 'string' || !Array.isArray(files)) throw invalid('give files and since')
  return { since, files: files.map(parseFile) }
}

function parseFile(value: unknown): PolicyFile {
  const { file, text } = (value ?? {}) as Record<string, unknown>
  if (typeof file !== 'string' || typeof text !== 'string')
    throw invalid('a file has its name, file, and its text')
  return { file, text }
}

function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
