import { readFile } from 'node:fs/promises'
import { printTtl, SallyportError } from '@sallyport/core'
import type { Asked, ConnectionView, ProbeResult } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { parseDuration } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printList, printOne } from '../output.ts'
import { readPassword } from '../read-password.ts'
import { parseTargetUrl } from '../target-url.ts'

/** What `add` and `set` take. */
interface SettingFlags {
  readonly notices?: string
  readonly responses?: string
  readonly masking?: string
  readonly holdMax?: string
  readonly holdInTransactionMax?: string
  readonly trustFunction: readonly string[]
}

export interface AddFlags extends SettingFlags {
  readonly name: string
  readonly env?: string
  readonly label: readonly string[]
  readonly tls: string
  readonly ca?: string
}

export interface SetFlags extends SettingFlags {
  readonly distrustFunction: readonly string[]
}

type NewConnection = Asked<'POST /v1/connections'>['body']

/** Lists the connections. */
export async function listConnections(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await api.call('GET /v1/connections')
  const columns = {
    NAME: (row: ConnectionView) => row.name,
    TYPE: (row: ConnectionView) => row.type,
    ENV: (row: ConnectionView) => row.labels['env'] ?? '–',
    TARGET: (row: ConnectionView) => `${row.host}:${row.port}/${row.database}`,
    USER: (row: ConnectionView) => row.user,
    TLS: (row: ConnectionView) => row.tls,
  }
  await printList(context.output, rows, columns, (row) => row.name)
  return EXIT.done
}

/** Adds or replaces a connection, then tries it; what fails there is said, but the connection stays. */
export async function addConnection(
  context: VerbContext,
  url: string,
  flags: AddFlags,
): Promise<number> {
  const api = await context.api()
  const target = parseTargetUrl(url)
  if (target.password !== undefined) {
    context.output.say(
      '! a password in the address is seen by everyone who can list processes, and stays in the shell history. Leave it out to be asked.\n',
    )
  }
  const password = target.password ?? (await readPassword(`Password of ${target.user}: `))
  const ca = flags.ca === undefined ? undefined : await readCa(flags.ca)
  const labels = {
    ...labelsOf(flags.label),
    ...(flags.env === undefined ? {} : { env: flags.env }),
  }
  const { name, tls, trustFunction: trustedFunctions } = flags
  const settings = { ...settingsIn(flags), trustedFunctions }
  // What does not fit is the gateway's to refuse, in its words.
  const body = { ...target, password, name, labels, tls, ca, ...settings } as NewConnection
  const added = await api.call('POST /v1/connections', { body })
  const result = await probe(context, added.name)
  const text = `${probeText(result)}✓ ${added.name} added. Use it: psql "$(npx sallyport url ${added.name})"\n`
  await printOne(context.output, { connection: added, test: result }, text, added.name)
  return result.error === undefined ? EXIT.done : EXIT.unreachable
}

/** Changes settings of a connection; what is not named stays. */
export async function setConnection(
  context: VerbContext,
  name: string,
  flags: SetFlags,
): Promise<number> {
  const api = await context.api()
  const { trustFunction: added, distrustFunction: removed } = flags
  const isListChanged = added.length + removed.length > 0
  const before = isListChanged
    ? await api.call('GET /v1/connections/{name}', { params: { name } })
    : undefined
  const trustedFunctions = before?.trustedFunctions
    .concat(added)
    .filter((each) => !removed.includes(each))
  const set = await api.call('PATCH /v1/connections/{name}', {
    params: { name },
    body: { ...settingsIn(flags), trustedFunctions },
  })
  const trusted = set.trustedFunctions.join(', ') || 'none'
  const held = `held ${printTtl(set.holdMaxMs)} at most, ${printTtl(set.holdInTransactionMaxMs)} in a transaction`
  const text = `✓ ${name}  notices ${set.notices} · responses ${set.responses} · masking ${set.masking} · ${held} · trusted functions: ${trusted}\n`
  await printOne(context.output, set, text, name)
  return EXIT.done
}

function settingsIn({
  notices,
  responses,
  masking,
  holdMax,
  holdInTransactionMax,
}: SettingFlags): Asked<'PATCH /v1/connections/{name}'>['body'] {
  return {
    notices,
    responses,
    masking,
    ...(holdMax === undefined ? {} : { holdMaxMs: parseDuration(holdMax) }),
    ...(holdInTransactionMax === undefined
      ? {}
      : { holdInTransactionMaxMs: parseDuration(holdInTransactionMax) }),
  } as Asked<'PATCH /v1/connections/{name}'>['body']
}

/** Removes a connection and ends its credentials. */
export async function removeConnection(context: VerbContext, name: string): Promise<number> {
  const api = await context.api()
  await api.call('DELETE /v1/connections/{name}', { params: { name } })
  await printOne(
    context.output,
    { removed: name },
    `✓ ${name} removed, with its credentials\n`,
    name,
  )
  return EXIT.done
}

/** Tries a target from the gateway. */
export async function testConnection(context: VerbContext, name: string): Promise<number> {
  const result = await probe(context, name)
  await printOne(context.output, result, probeText(result), name)
  return result.error === undefined ? EXIT.done : EXIT.unreachable
}

async function probe(context: VerbContext, name: string): Promise<ProbeResult> {
  const api = await context.api()
  return await api.call('POST /v1/connections/{name}/test', { params: { name } })
}

/** One line a step; a step that was not reached is never shown as good. */
export function probeText(result: ProbeResult): string {
  const marks = { ok: '✓', failed: '✕ failed', skipped: '– not checked', off: '! off: plain text' }
  const version = result.serverVersion === '' ? '' : ` PostgreSQL ${result.serverVersion}`
  const why = result.error === undefined ? '' : `  ${result.error.code}: ${result.error.message}\n`
  return `  reach  ${marks[result.reach]}\n  tls    ${marks[result.tls]}\n  login  ${marks[result.login]}${version}\n${why}`
}

async function readCa(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new SallyportError('SP_CONFIG_INVALID', `--ca: ${path} cannot be read`, { cause })
  })
}

function labelsOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=')
      if (at < 1)
        throw new SallyportError('SP_CONFIG_INVALID', `--label takes key=value; not "${text}"`)
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}
