import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Status } from '@sallyport/gateway'
import type { StatusReply } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printList } from '../output.ts'

const run = promisify(execFile)

/** One thing that was looked at. `unchecked` is a state of its own, never shown as good. */
interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warning' | 'failed' | 'unchecked'
  readonly text: string
}

const marks = { ok: '✓', warning: '!', failed: '✕', unchecked: '–' }

/** Looks at everything that commonly goes wrong on this machine. */
export async function doctor(
  context: VerbContext,
  ports: { api: number; postgres: number },
): Promise<number> {
  const status = await running(context)
  const findings = [
    { check: 'node', state: 'ok', text: process.versions.node } as const,
    await dataFolder(context.dataDir),
    await lock(context.dataDir, status),
    ...(status === undefined ? await freePorts(ports) : runningFindings(status)),
    ...(await brokerFindings()),
    await psql(),
  ]
  const columns = {
    '': (row: Finding) => marks[row.state],
    CHECK: (row: Finding) => row.check,
    FOUND: (row: Finding) => row.text,
  }
  await printList(context.output, findings, columns, (row) => `${row.check}:${row.state}`)
  return findings.some((finding) => finding.state === 'failed') ? EXIT.findings : EXIT.done
}

async function running(context: VerbContext): Promise<Status | undefined> {
  try {
    return await (await context.api()).call('GET /v1/status')
  } catch {
    return undefined
  }
}

async function dataFolder(dataDir: string): Promise<Finding> {
  try {
    await access(dataDir, constants.R_OK | constants.W_OK)
    return { check: 'data', state: 'ok', text: dataDir }
  } catch {
    return { check: 'data', state: 'warning', text: `${dataDir} is not there yet; "up" makes it` }
  }
}

async function lock(dataDir: string, status: Status | undefined): Promise<Finding> {
  const content = await readFile(join(dataDir, 'lock'), 'utf8').catch(() => '')
  const pid = content.split(' ')[0] ?? ''
  if (status !== undefined)
    return { check: 'lock', state: 'ok', text: `held by the gateway, process ${status.pid}` }
  if (pid === '') return { check: 'lock', state: 'ok', text: 'free' }
  return {
    check: 'lock',
    state: 'warning',
    text: `left by process ${pid}; taken over at the next start if that is gone`,
  }
}

function runningFindings(status: Status): Finding[] {
  const ready = status.workers.filter((worker) => worker.state === 'ready').length
  const restarts = status.workers.reduce((sum, worker) => sum + worker.restarts, 0)
  const all = ready === status.workers.length
  return [
    { check: 'gateway', state: 'ok', text: `${status.version}, ${status.storage}` },
    {
      check: 'ports',
      state: 'ok',
      text: [
        `postgres ${status.ports.postgres}`,
        `api ${status.ports.api}`,
        ...(status.ports.metrics === undefined ? [] : [`metrics ${status.ports.metrics}`]),
      ].join(', '),
    },
    {
      check: 'workers',
      state: all ? (restarts === 0 ? 'ok' : 'warning') : 'failed',
      text: `${ready} of ${status.workers.length} ready, ${restarts} restarts`,
    },
    status.shipping.problem === undefined
      ? { check: 'recordings', state: 'ok', text: `shipped to ${status.shipping.where}` }
      : { check: 'recordings', state: 'failed', text: `not shipped: ${status.shipping.problem}` },
    ...status.anchors.map(anchorsFinding),
    journalFinding(status.journal),
    searchFinding(status.search),
    ...exportFindings(status.exports),
    ...channelFindings(status.channels),
    status.policies.problems === ''
      ? {
          check: 'policies',
          state: 'ok',
          text: `version ${status.policies.version}, ${status.policies.rules} rules`,
        }
      : {
          check: 'policies',
          state: 'failed',
          text: `the folder has errors, version ${status.policies.version} stays in force`,
        },
  ]
}

function anchorsFinding({ where, behind, missing, problem }: Status['anchors'][number]): Finding {
  const check = 'anchors'
  if (problem !== undefined)
    return { check, state: 'failed', text: `${behind} not copied to ${where}: ${problem}` }
  if (missing.length > 0)
    return {
      check,
      state: 'failed',
      text: `gone from the recording store before they were copied to ${where}: ${missing.join(', ')}`,
    }
  return { check, state: 'ok', text: `copied to ${where}` }
}

/** Told before commands are refused. */
const journalWarnShare = 0.8

function journalFinding({ bytes, maxBytes, freeBytes, minFreeBytes }: Status['journal']): Finding {
  const size = (count: number): string => `${Math.round(count / 1024 / 1024)} MiB`
  const free = freeBytes === undefined ? '' : `, ${size(freeBytes)} of its disk free`
  const text = `${size(bytes)} of ${size(maxBytes)}${free}`
  if (bytes >= maxBytes || (freeBytes ?? Infinity) < minFreeBytes)
    return { check: 'journal', state: 'failed', text: `${text}: commands are refused` }
  const isNear = bytes > maxBytes * journalWarnShare || (freeBytes ?? Infinity) < minFreeBytes * 2
  return { check: 'journal', state: isNear ? 'warning' : 'ok', text }
}

function searchFinding({ problem, rebuilding }: Status['search']): Finding {
  if (problem !== undefined)
    return { check: 'search', state: 'failed', text: `the index is behind: ${problem}` }
  const text =
    rebuilding === undefined
      ? 'commands are indexed'
      : `the index is being made again, ${rebuilding.parts} parts were read`
  return { check: 'search', state: rebuilding === undefined ? 'ok' : 'warning', text }
}

/** Behind by more than this, somebody should look. */
const behindMsMax = 300_000

function exportFindings({ all, problems }: Status['exports']): Finding[] {
  const findings = all.map(({ name, waiting, sinceMs, problem }): Finding => {
    const behindMs = sinceMs === undefined ? 0 : Date.now() - sinceMs
    const lag = waiting === 0 ? 'nothing waits' : `${waiting} events wait, since ${age(behindMs)}`
    if (problem !== undefined)
      return { check: 'export', state: 'failed', text: `${name}: ${problem}; ${lag}` }
    const state = behindMs > behindMsMax ? 'warning' : 'ok'
    return { check: 'export', state, text: `${name}: ${lag}` }
  })
  if (problems === '') return findings
  const text = 'the folder has errors, what was in force stays'
  return [...findings, { check: 'exports', state: 'failed', text }]
}

function channelFindings({ all, problems }: Status['channels']): Finding[] {
  const findings = all.map(({ name, waiting, dropped, problem }): Finding => {
    const lag = waiting === 0 ? 'nothing waits' : `${waiting} messages wait`
    const lost = dropped === 0 ? '' : `, ${dropped} were given up since the start`
    if (problem !== undefined)
      return { check: 'channel', state: 'failed', text: `${name}: ${problem}; ${lag}${lost}` }
    const state = dropped === 0 ? 'ok' : 'warning'
    return { check: 'channel', state, text: `${name}: ${lag}${lost}` }
  })
  if (problems === '') return findings
  const text = 'the folder has errors, what was in force stays'
  return [...findings, { check: 'channels', state: 'failed', text }]
}

async function freePorts(ports: { api: number; postgres: number }): Promise<Finding[]> {
  const one = async (check: string, port: number): Promise<Finding> =>
    (await isFree(port))
      ? { check, state: 'ok', text: `port ${port} is free` }
      : { check, state: 'failed', text: `port ${port} is taken. Choose another: --port-${check}` }
  return [
    { check: 'gateway', state: 'warning', text: 'not running. Start one: sallyport up' },
    await one('postgres', ports.postgres),
    await one('api', ports.api),
    { check: 'workers', state: 'unchecked', text: 'no gateway runs' },
    { check: 'recordings', state: 'unchecked', text: 'no gateway runs' },
    { check: 'policies', state: 'unchecked', text: 'no gateway runs' },
  ]
}

async function brokerFindings(): Promise<Finding[]> {
  const { BrokerClient } = await import('../broker/broker-client.ts')
  const client = await BrokerClient.find()
  const status = await client?.ask<StatusReply>({ op: 'status' })
  client?.close()
  if (status === undefined) {
    const text = 'not running; "sallyport login" starts it'
    return [{ check: 'broker', state: 'unchecked', text }, await peerCheck()]
  }
  const { agents, folder, uncheckedBecause, hidden, findings } = status
  const peers =
    uncheckedBecause === undefined
      ? ({ check: 'peers', state: 'ok', text: 'programs are told apart: L3' } as const)
      : ({ check: 'peers', state: 'warning', text: `${uncheckedBecause}: L2` } as const)
  return [
    {
      check: 'broker',
      state: 'ok',
      text: `process ${status.pid}, ${agents.length} agents, ${folder}`,
    },
    peers,
    hidden
      ? { check: 'memory', state: 'ok', text: "other programs can't read the broker's memory" }
      : {
          check: 'memory',
          state: 'warning',
          text: "programs of this user can read the broker's memory",
        },
    ...findings.map(({ rule, at, text }): Finding => ({
      check: rule,
      state: 'warning',
      text: `${at} ${text}`,
    })),
  ]
}

async function peerCheck(): Promise<Finding> {
  const { loadSystemCalls } = await import('../broker/system-calls.ts')
  const calls = await loadSystemCalls()
  return typeof calls === 'string'
    ? { check: 'peers', state: 'warning', text: `${calls}: agents are L2 here` }
    : { check: 'peers', state: 'ok', text: 'this system says which program is at a socket' }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () =>
      probe.close(() => resolve(true)),
    )
  })
}

async function psql(): Promise<Finding> {
  try {
    const { stdout } = await run('psql', ['--version'])
    return { check: 'psql', state: 'ok', text: stdout.trim() }
  } catch {
    return {
      check: 'psql',
      state: 'warning',
      text: 'not installed; any PostgreSQL program will do',
    }
  }
}
