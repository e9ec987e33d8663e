import { resolve } from 'node:path'
import type { ControlPlane, ControlPlaneEvent, GatewayOptions, Status } from '@sallyport/gateway'
import { parseBytes, SallyportError } from '@sallyport/core'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { isForPrograms, type Output } from '../output.ts'

export interface UpFlags {
  readonly portPostgres: string
  readonly portApi: string
  readonly portMetrics?: string
  readonly hostMetrics?: string
  readonly workers?: string
  readonly approvalsPerMinute?: string
  readonly durability: string
  readonly recordings?: string
  readonly anchors: readonly string[]
  readonly channels?: string
  readonly journalMax: string
  readonly journalMinFree: string
  readonly demo: boolean
  readonly story: boolean
  readonly databaseUrl?: string
  readonly publicUrl?: string
}

const workersMax = 64
const approvalsPerMinuteMax = 1000
/** A journal that holds less than a large command can't take it. */
const journalMaxLeast = 64 * 1024 * 1024

/** Starts the gateway and serves until a signal ends it. */
export async function up(context: VerbContext, flags: UpFlags): Promise<number> {
  const { playDemo, startGateway } = await import('@sallyport/gateway')
  const { output, dataDir } = context
  const stopped = stopSignal(output)
  output.say(`Sallyport · data in ${dataDir} (delete the folder to start over)\n`)
  const gateway = await startGateway(gatewayOptions(dataDir, flags, (event) => tell(output, event)))
  if (flags.demo && flags.story) {
    output.say('\nDemo: a tree of four agents works on shop-db (--no-story leaves it out)\n')
    // The gateway is there to be used also where its demo goes wrong.
    await playDemo(gateway, (line) => output.say(`${line}\n`)).catch((error: unknown) => {
      output.say(
        `  ! the demo stopped: ${error instanceof Error ? error.message : String(error)}\n`,
      )
    })
  }
  await printReady(output, gateway)
  output.say(`\nStopping (${await stopped}) …\n`)
  await gateway.stop()
  return EXIT.done
}

function gatewayOptions(
  dataDir: string,
  flags: UpFlags,
  onEvent: GatewayOptions['onEvent'],
): GatewayOptions {
  const databaseUrl = flags.databaseUrl ?? process.env['SALLYPORT_DATABASE_URL']
  return {
    dataDir,
    ports: {
      api: number(flags.portApi, '--port-api', 0, 65_535),
      postgres: number(flags.portPostgres, '--port-postgres', 0, 65_535),
      ...(flags.portMetrics === undefined
        ? {}
        : { metrics: number(flags.portMetrics, '--port-metrics', 0, 65_535) }),
    },
    host: '127.0.0.1',
    ...(flags.hostMetrics === undefined ? {} : { metricsHost: flags.hostMetrics }),
    ...(flags.workers === undefined
      ? {}
      : { workers: number(flags.workers, '--workers', 1, workersMax) }),
    durability: durability(flags.durability),
    ...(flags.recordings === undefined ? {} : { recordings: recordingsPlace(flags.recordings) }),
    anchors: flags.anchors.map(recordingsPlace),
    ...(flags.channels === undefined ? {} : { channels: resolve(flags.channels) }),
    journal: {
      maxBytes: size(flags.journalMax, '--journal-max', journalMaxLeast),
      minFreeBytes: size(flags.journalMinFree, '--journal-min-free', 0),
    },
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(flags.approvalsPerMinute === undefined
      ? {}
      : {
          approvalLimits: {
            approvalsPerMinute: number(
              flags.approvalsPerMinute,
              '--approvals-per-minute',
              1,
              approvalsPerMinuteMax,
            ),
          },
        }),
    ...(flags.publicUrl === undefined ? {} : { publicUrl: publicUrl(flags.publicUrl) }),
    demo: flags.demo,
    onEvent,
  }
}

function number(text: string, flag: string, least: number, most: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new SallyportError('SP_CONFIG_INVALID', `${flag} takes a number from ${least} to ${most}`)
}

/** A folder is meant from where the command was given. */
function recordingsPlace(text: string): string {
  return text.includes('://') ? text : resolve(text)
}

function size(text: string, flag: string, least: number): number {
  const bytes = parseBytes(text)
  if (typeof bytes === 'number' && bytes >= least) return bytes
  const detail = `${flag} takes a size such as 500MiB or 8GiB${least > 0 ? `, at least ${least / 1024 / 1024}MiB` : ''}`
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

/** Browsers and CI jobs come here, and tokens are made out to it, so it must be exact. */
function publicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isHttp = url?.protocol === 'https:' || url?.protocol === 'http:'
  if (isHttp && url.search === '' && url.hash === '' && url.username === '') {
    return text.replace(/\/+$/u, '')
  }
  throw new SallyportError(
    'SP_CONFIG_INVALID',
    '--public-url takes an address such as https://gw.example.com',
  )
}

function durability(text: string): GatewayOptions['durability'] {
  if (text === 'auto' || text === 'disk' || text === 'process') return text
  throw new SallyportError('SP_CONFIG_INVALID', '--durability takes auto, disk or process')
}

function tell(output: Output, event: ControlPlaneEvent): void {
  switch (event.kind) {
    case 'step':
      output.say(`  ✓ ${event.step.padEnd(9)} ${event.text}  ${(event.ms / 1000).toFixed(1)} s\n`)
      return
    case 'policies.loaded':
      output.say(`  ✓ policies  version ${event.version}, ${event.rules} rules\n`)
      return
    case 'policies.refused':
      output.say(`  ✕ policies  the new ones have errors; the old ones stay\n${event.text}\n`)
      return
    case 'identity.read':
      if (event.problems === '') output.say('  ✓ identity  read again\n')
      else
        output.say(
          `  ✕ identity  the files have errors; what was in force stays\n${event.problems}\n`,
        )
      return
    case 'exports.read':
      if (event.problems === '') output.say('  ✓ exports   read again\n')
      else
        output.say(
          `  ✕ exports   the files have errors; what was in force stays\n${event.problems}\n`,
        )
      return
    case 'channels.read':
      if (event.problems === '') output.say('  ✓ channels  read again\n')
      else
        output.say(
          `  ✕ channels  the files have errors; what was in force stays\n${event.problems}\n`,
        )
      return
    case 'birth':
      return
    case 'signal':
      if (event.event.kind === 'signal.applied')
        output.say(`  ! ${event.event.provider}  ${event.event.why} (${event.event.roots} trees)\n`)
      if (event.event.kind === 'signal.refused')
        output.say(`  ! a signal was refused: ${event.event.why}\n`)
      return
    case 'worker.lost':
      output.say(`  ! worker ${event.worker} ended (${event.why})\n`)
      return
    case 'fault':
      output.say(`  ! ${event.message}\n`)
  }
}

async function printReady(output: Output, gateway: ControlPlane): Promise<void> {
  const status = await gateway.status()
  const names = (await gateway.connections()).map((connection) => connection.name)
  if (isForPrograms(output)) output.data(`${JSON.stringify({ ...status, connections: names })}\n`)
  output.say(readyText(status, names))
}

/** The words after the start: where things are and what to do next. */
export function readyText(status: Status, connections: readonly string[]): string {
  const { metrics } = status.ports
  const first = connections.includes('shop-db') ? 'shop-db' : (connections[0] ?? 'NAME')
  return `
Ready: postgres ${status.host}:${status.ports.postgres} · api http://${status.host}:${status.ports.api} · this machine only
  connections  ${connections.join(', ') || 'none yet'}
  policies     ${status.dataDir}/policies (read again when a file changes)${metrics === undefined ? '' : `\n  metrics      port ${metrics}: /metrics /healthz /readyz`}

Next:
  psql "$(npx sallyport url ${first})"
  npx sallyport connections add postgres://user@host:5432/database --name my-db
  npx sallyport sessions
Ctrl-C stops.
`
}

/** One Ctrl-C may come twice: from the terminal, and from a parent that passes it on. */
const sameSignalMs = 500

/** A second signal ends at once. */
function stopSignal(output: Output): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let seenAtMs: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (seenAtMs === undefined) {
      seenAtMs = performance.now()
      return resolve(signal)
    }
    if (performance.now() - seenAtMs < sameSignalMs) return
    output.say('Ended at once.\n')
    process.exit(EXIT.unexpected)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  return promise
}
