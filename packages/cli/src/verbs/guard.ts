import { SallyportError, ERRORS, type ErrorCode } from '@sallyport/core'
import type { GuardEvent } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { parseDuration } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'
import { readPassword } from '../read-password.ts'

export interface GuardFlags {
  readonly plan?: boolean
  readonly apply?: boolean
  readonly adopt?: boolean
  readonly check?: boolean
  readonly drop?: boolean
  readonly setupUser?: string
  readonly writes?: string
  readonly lookup: readonly string[]
  readonly lookupBudget: string
  readonly closePublic?: boolean
}

const actions = ['plan', 'apply', 'adopt', 'check', 'drop'] as const

/** Makes the target of a connection enforce its masks, shows what that takes, looks whether it still does, or takes it away. */
export async function guard(
  context: VerbContext,
  name: string,
  flags: GuardFlags,
): Promise<number> {
  const chosen = actions.filter((action) => flags[action] === true)
  const action = chosen[0]
  if (action === undefined || chosen.length > 1) {
    throw new SallyportError(
      'SP_CONFIG_INVALID',
      'give one of --plan, --apply, --adopt, --check and --drop',
    )
  }
  const api = await context.api()
  const body = { action, ...optionsOf(flags), ...(await setupOf(action, flags)) }
  const asked = { params: { name }, body }
  let last: GuardEvent | undefined
  for await (const event of eventsOf(api.text('POST /v1/connections/{name}/guard', asked))) {
    last = event
    if (event.kind === 'progress') context.output.say(progressText(event))
  }
  switch (last?.kind) {
    case 'planned': {
      const { openings } = last
      for (const note of last.notes) context.output.say(`– ${note}\n`)
      for (const opening of openings) {
        context.output.say(`! PUBLIC may use the ${opening}: --close-public takes that away\n`)
      }
      await printOne(context.output, last, last.script, name)
      return EXIT.done
    }
    case 'applied':
      await printOne(context.output, last, appliedText(name, last), name)
      return EXIT.done
    case 'checked':
      await printOne(context.output, last, checkedText(name, last), name)
      return last.unsafe.length + last.drift.length > 0 ? EXIT.findings : EXIT.done
    case 'dropped':
      await printOne(
        context.output,
        last,
        `✓ the guard of ${name} is gone; the gateway masks by itself\n`,
        name,
      )
      return EXIT.done
    case 'failed':
      throw new SallyportError(codeOf(last.code), last.message)
    case 'progress':
    case undefined:
      throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway went away while it worked')
  }
}

type Applied = Extract<GuardEvent, { kind: 'applied' }>
type Checked = Extract<GuardEvent, { kind: 'checked' }>

function appliedText(name: string, { sets, relations, notes }: Applied): string {
  const roles = sets.map(({ id, role }) => `  mask set ${id}  role ${role}\n`).join('')
  const left = notes.map((note) => `  – ${note}\n`).join('')
  return `✓ the target of ${name} enforces the masks of ${sets.length} mask ${sets.length === 1 ? 'set' : 'sets'} on ${relations} relations\n${roles}${left}  Use it: sallyport connections set ${name} --masking guard\n`
}

function checkedText(name: string, { unsafe, drift }: Checked): string {
  if (unsafe.length + drift.length === 0) {
    return `✓ the target of ${name} enforces the masks, and nothing has changed since\n`
  }
  const lines = [
    ...unsafe.map((finding) => `✕ ${finding}\n`),
    ...drift.map((finding) => `! ${finding}\n`),
  ]
  return `${lines.join('')}  Mend it: sallyport connections guard ${name} --apply\n`
}

function progressText({ step, done, of }: Extract<GuardEvent, { kind: 'progress' }>): string {
  return of === 0 ? `  ${step}\n` : `  ${done}/${of}  ${step}\n`
}

/** Only what is stated: what was applied before holds on. */
function optionsOf(flags: GuardFlags): Record<string, unknown> {
  const { writes, lookup, closePublic } = flags
  return {
    ...(writes === undefined ? {} : { writes }),
    ...(closePublic === undefined ? {} : { closePublic }),
    ...(lookup.length === 0
      ? {}
      : { lookup: { columns: lookup, ...budgetOf(flags.lookupBudget) } }),
  }
}

/** `100/1h` */
function budgetOf(text: string): { count: number; windowSeconds: number } {
  const [, count, window] = /^(\d+)\/(\S+)$/u.exec(text) ?? []
  if (count === undefined || window === undefined) {
    throw new SallyportError(
      'SP_CONFIG_INVALID',
      `--lookup-budget takes <n>/<time>, 100/1h; not "${text}"`,
    )
  }
  return { count: Number(count), windowSeconds: Math.round(parseDuration(window) / 1000) }
}

/** The login is used for this run and kept nowhere. */
async function setupOf(
  action: (typeof actions)[number],
  { setupUser }: GuardFlags,
): Promise<{ setup?: { user: string; password: string } }> {
  if (action !== 'apply' && action !== 'drop') return {}
  if (setupUser === undefined) {
    throw new SallyportError(
      'SP_CONFIG_INVALID',
      `--${action} needs --setup-user: a login of the target that may make roles and give rights. Its password is asked for, or read from the pipe`,
    )
  }
  return { setup: { user: setupUser, password: await readPassword(`Password of ${setupUser}: `) } }
}

async function* eventsOf(pieces: AsyncIterable<string>): AsyncGenerator<GuardEvent> {
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield JSON.parse(line) as GuardEvent
  }
}

function codeOf(code: string): ErrorCode {
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'SP_INTERNAL'
}
