import type { Secret } from '@sallyport/core'
import { readSecret } from '../../../births/config/read-secret.ts'
import { readDuration, readUrl } from '../../../births/config/read-values.ts'
import { FieldReader } from '../../../policies/field-reader.ts'
import {
  readFolder,
  readObjects,
  type LoadedObjects,
  type ObjectFile,
  type ObjectKind,
} from '../../../policies/read-objects.ts'
import { NOTICE_KINDS } from '../channel.ts'
import type { Callback, ChannelConfig, Route } from './channel-config.ts'

/** Each has its own sender, and its own series among the metrics. */
const channelsMax = 16
const types = ['webhook', 'email', 'slack'] as const
const slackApi = 'https://slack.com/api'
const slackFields = ['botToken', 'appToken', 'channel', 'api', 'loginWithin']
const recipientsMax = 50
const addressPattern = /^[^\s<>@,;:"()[\]\\\p{C}]{1,64}@[^\s<>@,;:"()[\]\\\p{C}]{1,255}$/u
const loopback = ['127.0.0.1', '::1', 'localhost']
const sharedFields = ['type', 'routes', 'events']
/** 128 bits in hexadecimal digits: whoever guesses one can tell the receiver anything. */
const secretCharactersMin = 32
/** As long as a day's work. */
const loginWithinMsDefault = 24 * 3_600_000
const loginWithinMsMax = 30 * 24 * 3_600_000

const channelKind: ObjectKind<ChannelConfig> = {
  kind: 'Channel',
  noun: 'channel',
  max: channelsMax,
  read: readSpec,
}

/** Reads all files of a folder. */
export async function loadChannelsFolder(dir: string): Promise<LoadedObjects<ChannelConfig>> {
  return readChannelFiles(await readFolder(dir))
}

export function readChannelFiles(files: readonly ObjectFile[]): LoadedObjects<ChannelConfig> {
  return readObjects(files, channelKind)
}

function readSpec(name: string, top: FieldReader): ChannelConfig | undefined {
  // What else there may be depends on the type.
  const type = new FieldReader(top.source, top.get('spec'), 'spec', [])
  type.require('type')
  switch (type.oneOf('type', types)) {
    case 'webhook':
      return readWebhook(name, fieldsOf(top, ['url', 'secret', 'authorization', 'callback']))
    case 'email':
      return readEmail(name, fieldsOf(top, emailFields))
    case 'slack':
      return readSlack(name, fieldsOf(top, slackFields))
    case undefined:
      return undefined
  }
}

function fieldsOf(top: FieldReader, known: readonly string[]): FieldReader {
  return new FieldReader(top.source, top.get('spec'), 'spec', [...sharedFields, ...known])
}

function readWebhook(name: string, spec: FieldReader): ChannelConfig | undefined {
  for (const field of ['url', 'secret']) spec.require(field)
  const url = readUrl(spec, 'url')
  const secret = readSecret(spec, 'secret')
  if (secret !== undefined && secret.expose().length < secretCharactersMin)
    spec.report('secret', `a secret has at least ${secretCharactersMin} characters`)
  const authorization = readSecret(spec, 'authorization')
  const callback = readCallback(spec, secret)
  const shared = readShared(name, spec)
  if (url === undefined || secret === undefined) return undefined
  const header = authorization === undefined ? {} : { authorization }
  const answers = callback === undefined ? {} : { callback }
  return { ...shared, type: 'webhook', url, secret, ...header, ...answers }
}

function readCallback(
  spec: FieldReader,
  eventSecret: Secret<string> | undefined,
): Callback | undefined {
  if (!spec.has('callback')) return undefined
  const callback = spec.inner('callback', ['provider', 'secret', 'loginWithin'])
  for (const field of ['provider', 'secret']) callback.require(field)
  const provider = callback.text('provider')
  const secret = readSecret(callback, 'secret')
  if (secret !== undefined && secret.expose().length < secretCharactersMin)
    callback.report('secret', `a secret has at least ${secretCharactersMin} characters`)
  // What the gateway has signed must never pass for an answer.
  if (secret !== undefined && secret.expose() === eventSecret?.expose())
    callback.report('secret', 'answers are signed with another secret than events')
  const loginWithinMs = readLoginWithin(callback)
  return provider === undefined || secret === undefined
    ? undefined
    : { provider, secret, loginWithinMs }
}

function readLoginWithin(fields: FieldReader): number {
  return readDuration(fields, 'loginWithin', loginWithinMsMax) ?? loginWithinMsDefault
}

const emailFields = ['host', 'port', 'tls', 'ca', 'user', 'password', 'from', 'to']
const portOf = { starttls: 587, tls: 465, off: 25 } as const

function readEmail(name: string, spec: FieldReader): ChannelConfig | undefined {
  for (const field of ['host', 'from', 'to']) spec.require(field)
  const host = spec.text('host')
  const tls = spec.oneOf('tls', ['starttls', 'tls', 'off']) ?? 'starttls'
  if (tls === 'off' && host !== undefined && !loopback.includes(host))
    spec.report('tls', 'mail leaves this machine with TLS only')
  const port = spec.int('port', 1, 65_535) ?? portOf[tls]
  const ca = readSecret(spec, 'ca')
  const login = readLogin(spec)
  const from = spec.text('from')
  const to = spec.has('to') ? spec.texts('to', true) : []
  mustBeAddresses(spec, 'from', from === undefined ? [] : [from])
  mustBeAddresses(spec, 'to', to)
  if (spec.has('to') && to.length === 0) spec.report('to', 'it would reach nobody')
  if (to.length > recipientsMax) spec.report('to', `at most ${recipientsMax} recipients are taken`)
  const shared = readShared(name, spec)
  if (host === undefined || from === undefined) return undefined
  const more = { ...(ca === undefined ? {} : { ca }), ...(login === undefined ? {} : { login }) }
  return { ...shared, type: 'email', host, port, tls, from, to, ...more }
}

function readSlack(name: string, spec: FieldReader): ChannelConfig | undefined {
  for (const field of ['botToken', 'channel']) spec.require(field)
  const botToken = readSecret(spec, 'botToken')
  const appToken = readSecret(spec, 'appToken')
  if (appToken !== undefined && !appToken.expose().startsWith('xapp-'))
    spec.report('appToken', 'a token of the app begins with xapp-')
  const channel = spec.text('channel')
  if (channel !== undefined && !/^[CG][A-Z0-9]{2,30}$/u.test(channel))
    spec.report('channel', `"${channel}" is not the id of a channel`, 'for example C0123456789')
  const api = `${(spec.has('api') ? readUrl(spec, 'api') : slackApi) ?? slackApi}/`
  const loginWithinMs = readLoginWithin(spec)
  const shared = readShared(name, spec)
  if (botToken === undefined || channel === undefined) return undefined
  const app = appToken === undefined ? {} : { appToken }
  return { ...shared, type: 'slack', api, botToken, channel, loginWithinMs, ...app }
}

function readLogin(
  spec: FieldReader,
): { readonly user: string; readonly password: Secret<string> } | undefined {
  const user = spec.text('user')
  const password = readSecret(spec, 'password')
  if (spec.has('user') !== spec.has('password'))
    spec.report(spec.has('user') ? 'user' : 'password', 'user and password go together')
  return user === undefined || password === undefined ? undefined : { user, password }
}

function mustBeAddresses(spec: FieldReader, name: string, found: readonly string[]): void {
  for (const address of found)
    if (!addressPattern.test(address))
      spec.report(name, `"${address}" is not an address`, 'for example dba@example.com')
}

function readShared(
  name: string,
  spec: FieldReader,
): Pick<ChannelConfig, 'name' | 'routes' | 'events'> {
  const words = NOTICE_KINDS.map((kind) => `approval.${kind}` as const)
  const events = spec.listOf('events', words)
  if (spec.has('events') && events.length === 0) spec.report('events', 'it would be told nothing')
  return {
    name,
    routes: readRoutes(spec),
    events: spec.has('events')
      ? NOTICE_KINDS.filter((kind) => events.includes(`approval.${kind}`))
      : NOTICE_KINDS,
  }
}

function readRoutes(spec: FieldReader): Route[] {
  const items = spec.items('routes')
  if (spec.has('routes') && items.length === 0)
    spec.report('routes', 'nothing would go here', 'leave routes out for all requests')
  return items.map(({ node, path }) => {
    const route = new FieldReader(spec.source, node, path, ['rules', 'connections', 'groups'])
    const lists = (['rules', 'connections', 'groups'] as const).flatMap((name) => {
      if (!route.has(name)) return []
      const values = route.texts(name)
      if (values.length === 0) route.report(name, `${name} names nothing`)
      return [[name, values] as const]
    })
    if (lists.length === 0) route.report('', 'a route names rules, connections or groups')
    return Object.fromEntries(lists)
  })
}
