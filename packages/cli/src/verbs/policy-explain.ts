import { SallyportError } from '@sallyport/core'
import type { SessionView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayApi } from '../gateway-api.ts'
import { printable, printOne } from '../output.ts'
import { recordedLines } from './recorded-lines.ts'

/** Recordings are read whole, so a decision is looked for in those of the newest sessions. */
const sessionsMax = 50

/** A command as it was judged, and what is recorded of it. */
interface Explained {
  readonly session: string
  readonly seq: number
  readonly decision: string
  readonly effect: string
  readonly rules: readonly string[]
  readonly text: string
  /** Where its values come from, and what masked columns decide. */
  readonly lineage: string[]
  readonly masked: { readonly rule: string; readonly values: number }[]
  refused?: { readonly code: string; readonly message: string }
}

interface RecordedEntry {
  readonly kind: string
  readonly seq: number
  readonly decision: string
  readonly effect: string
  readonly rules: readonly string[]
  readonly text: string | { readonly text?: string }
  readonly rule: string
  readonly values: number
  readonly code: string
  readonly message: string
}

/** Says of a command what was decided, by which rules, and by which way its masked columns came: by the decision's id, or `session#number`. */
export async function explain(context: VerbContext, what: string): Promise<number> {
  const api = await context.api()
  const [session = '', number] = what.split('#')
  const found =
    number === undefined
      ? await byDecision(api, what)
      : await inSession(api, session, ({ seq }) => seq === Number(number))
  if (found === undefined) {
    throw new SallyportError('SP_NOT_FOUND', `no recorded decision ${what}`, {
      detail: `The newest ${sessionsMax} sessions were looked through; name an older one: SESSION#NUMBER.`,
    })
  }
  await printOne(context.output, found, textOf(found), found.decision)
  return EXIT.done
}

async function byDecision(api: GatewayApi, decision: string): Promise<Explained | undefined> {
  const sessions = await api.json<SessionView[]>('GET', '/v1/sessions')
  for (const { id } of sessions.slice(0, sessionsMax)) {
    const found = await inSession(api, id, (entry) => entry.decision === decision)
    if (found !== undefined) return found
  }
  return undefined
}

async function inSession(
  api: GatewayApi,
  session: string,
  isMeant: (command: RecordedEntry) => boolean,
): Promise<Explained | undefined> {
  let found: Explained | undefined
  for await (const line of recordedLines(api, session)) {
    const item = JSON.parse(line) as { readonly session?: string; readonly entry?: RecordedEntry }
    const { entry } = item
    if (entry === undefined) continue
    if (entry.kind === 'command' && isMeant(entry)) {
      const { seq, decision, effect, rules } = entry
      const text = typeof entry.text === 'string' ? entry.text : (entry.text.text ?? '')
      const head = { session: item.session ?? session, seq, decision, effect, rules, text }
      found = { ...head, lineage: [], masked: [] }
    } else if (found !== undefined && entry.seq === found.seq) note(found, entry)
  }
  return found
}

function note(found: Explained, entry: RecordedEntry): void {
  const { rule, values, code, message, text } = entry
  if (entry.kind === 'lineage' && typeof text === 'string') found.lineage.push(...text.split('\n'))
  else if (entry.kind === 'masked') found.masked.push({ rule, values })
  else if (entry.kind === 'refused') found.refused = { code, message }
}

function textOf({
  session,
  seq,
  decision,
  effect,
  rules,
  text,
  lineage,
  masked,
  refused,
}: Explained): string {
  const by = rules.length === 0 ? '' : ` by ${rules.join(', ')}`
  const lines = [
    `${decision}  ${effect}${by}  (${session}#${seq})`,
    ...text.split(/\r?\n/).map((line) => `    ${line}`),
    ...(refused === undefined ? [] : [`refused ${refused.code}: ${refused.message}`]),
    ...lineage,
    ...masked.map(({ rule, values }) => `${values} values masked by ${rule}`),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}
