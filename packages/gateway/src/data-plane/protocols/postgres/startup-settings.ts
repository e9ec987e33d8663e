import { SallyportError } from '@sallyport/core'

/** Settings that a caller may give at start-up: they change how values look or how long to wait, not what statements mean. */
const allowed: ReadonlySet<string> = new Set([
  'application_name',
  'datestyle',
  'intervalstyle',
  'timezone',
  'extra_float_digits',
  'bytea_output',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'search_path',
  'geqo',
  'jit',
  'work_mem',
  'default_transaction_read_only',
  'default_transaction_isolation',
  'default_transaction_deferrable',
  'client_min_messages',
  'fallback_application_name',
  'tcp_user_timeout',
  'synchronous_commit',
  'enable_seqscan',
  'random_page_cost',
])

export interface StartupSettings {
  readonly database: string | undefined
  readonly application: string
  /** What the target gets. */
  readonly parameters: Map<string, string>
  /** `_pq_.` options that the gateway does not know. */
  readonly unknownOptions: readonly string[]
  readonly setsSearchPath: boolean
  /** All but the name of the program, `name=value`, in one order: the same text may mean something else by them. */
  readonly meaning: readonly string[]
}

/** Checks the parameters of a StartupMessage (protocol section 54.7). Refuses what would change who runs or what is read. */
export function readStartupSettings(parameters: ReadonlyMap<string, string>): StartupSettings {
  const passed = new Map<string, string>()
  const unknownOptions: string[] = []
  for (const [name, value] of parameters) {
    if (name === 'user' || name === 'database') continue
    if (name.startsWith('_pq_.')) unknownOptions.push(name)
    else if (name === 'replication') refuseReplication(value)
    else if (name === 'options')
      for (const [key, each] of readOptions(value)) take(passed, key, each)
    else take(passed, name, value)
  }
  passed.set('client_encoding', 'UTF8')
  return {
    database: parameters.get('database'),
    application: passed.get('application_name') ?? '',
    parameters: passed,
    unknownOptions,
    meaning: [...passed]
      .filter(([name]) => !/^(?:fallback_)?application_name$/.test(name))
      .map(([name, value]) => `${name}=${value}`)
      .toSorted(),
    setsSearchPath: [...passed.keys()].some((name) => name.toLowerCase() === 'search_path'),
  }
}

function take(passed: Map<string, string>, name: string, value: string): void {
  const folded = name.toLowerCase()
  if (folded === 'client_encoding') {
    if (/^'?(?:utf-?8|unicode|auto|sql_ascii)'?$/i.test(value)) return
    throw refusal(`client_encoding ${value}`, 'The gateway reads statements as UTF-8 only.')
  }
  if (folded === 'standard_conforming_strings' && /^(?:on|true|1|yes)$/i.test(value)) return
  if (!allowed.has(folded))
    throw refusal(name, `The start-up setting ${name} can't be given through the gateway.`)
  passed.set(folded, value)
}

function refuseReplication(value: string): void {
  if (/^(?:false|off|no|0)$/i.test(value)) return
  throw refusal('replication', 'Replication connections do not pass the gateway.')
}

/** `-c name=value`, `--name=value`, with backslash escapes, as the server splits them. */
function readOptions(text: string): [string, string][] {
  const words = text.match(/(?:\\.|[^\s\\])+/gs)?.map((word) => word.replace(/\\(.)/gs, '$1')) ?? []
  const settings: [string, string][] = []
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? ''
    const setting = word === '-c' ? (words[(at += 1)] ?? '') : word.replace(/^(?:-c|--)/, '')
    const equals = setting.indexOf('=')
    if (equals < 1 || (word !== '-c' && setting === word)) {
      throw refusal('options', `The option ${word} can't be given through the gateway.`)
    }
    settings.push([setting.slice(0, equals).replaceAll('-', '_'), setting.slice(equals + 1)])
  }
  return settings
}

function refusal(what: string, detail: string): SallyportError {
  return new SallyportError('SP_NOT_SUPPORTED', `start-up setting ${what}`, { detail })
}
