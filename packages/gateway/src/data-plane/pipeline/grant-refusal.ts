import {
  ERRORS,
  printAllow,
  printChain,
  printObjectName,
  SallyportError,
  type Chain,
  type DecisionId,
  type ErrorCode,
  type GrantRefused,
  type Refusal,
} from '@sallyport/core'
import type { ConnectionConfig } from '../../boundary/snapshot.ts'

/** Whose grants refused, and on which connection. */
export interface RefusedContext {
  readonly chain: Chain
  readonly connection: Pick<ConnectionConfig, 'name'>
}

/** Longer lists of what is held help nobody who reads an error. */
const heldMax = 5

/** Whether the refusal is about what the command does, not about when and from where. */
export function isAboutAccess(refused: GrantRefused): boolean {
  return refused.reason === 'not-granted' || refused.reason === 'unresolved'
}

/** Says why the grants of the chain refuse a command. Names nothing but agents of the caller's own chain and what the caller itself holds. */
export function refusalOfGrant(
  refused: GrantRefused,
  context: RefusedContext,
  id: DecisionId,
): Refusal {
  const { code, message, detail, hint } = explain(refused, context)
  return {
    code,
    message,
    detail: `${detail} Nothing was sent to ${context.connection.name}.`,
    hint: `${hint} Decision ${id}. (${code})`,
  }
}

/** The same for a session that is not opened. */
export function openingRefused(refused: GrantRefused, context: RefusedContext): SallyportError {
  const { code, message, detail, hint } = explain(refused, context)
  const isUnknown = refused.reason === 'not-granted'
  // A connection that doesn't exist reads the same as one that isn't granted.
  if (isUnknown) return new SallyportError(code, `no grant for ${context.connection.name}`)
  return new SallyportError(code, message, { detail: `${message}. ${detail} ${hint}` })
}

interface Explained {
  readonly code: ErrorCode
  readonly message: string
  readonly detail: string
  readonly hint: string
}

function explain(refused: GrantRefused, { chain, connection }: RefusedContext): Explained {
  const { name } = connection
  const held = `${printChain(chain)} holds: ${heldBy(chain)}.`
  const holder =
    refused.nearestHolder === undefined ? '' : ` Nearest holder: ${refused.nearestHolder}.`
  switch (refused.reason) {
    case 'not-granted': {
      const object = refused.object === undefined ? '' : ` ${printObjectName(refused.object)}`
      return {
        code: 'SP_NOT_GRANTED',
        message: `not in your grant: ${refused.effect} on ${name}${object}`,
        detail: `${held}${holder}`,
        hint: 'Ask for a wider grant; retrying will not help.',
      }
    }
    case 'unresolved':
      return {
        code: 'SP_GRANT_UNRESOLVED',
        message: 'cannot tell which objects this touches, and your grant limits them',
        detail: `${held}${holder}`,
        hint: 'Name the tables with their schemas, without dynamic SQL.',
      }
    case 'outside-window':
      return {
        code: 'SP_NOT_GRANTED',
        message: `your grant does not hold at this time (the window of ${refused.agent})`,
        detail: `${windowsOf(chain, refused.agent)}${holder}`,
        hint: 'Retry inside of the window.',
      }
    case 'wrong-client':
      return {
        code: 'SP_NOT_GRANTED',
        message: `your grant does not hold from this address (the grant of ${refused.agent})`,
        detail: `The grant names the networks that sessions come from.${holder}`,
        hint: 'Retrying from here will not help.',
      }
    case 'level-too-low':
      return {
        code: 'SP_LEVEL_TOO_LOW',
        message: `level L${chain.level} is too weak for ${name}${needs(refused.minLevel)}`,
        detail: ERRORS.SP_LEVEL_TOO_LOW.say,
        hint: 'Use sallyport run or a one-shot credential.',
      }
    default:
      return refused.reason satisfies never
  }
}

function needs(minLevel: number | undefined): string {
  return minLevel === undefined ? '' : ` (needs L${minLevel})`
}

/** The words of the caller's own newest layer: the narrowest that it was given. */
function heldBy(chain: Chain): string {
  const permits = chain.agents.at(-1)?.layers.at(-1)?.permits ?? []
  const texts = permits.slice(0, heldMax).map(printAllow)
  const more = permits.length > heldMax ? ` and ${permits.length - heldMax} more` : ''
  return texts.length === 0 ? 'nothing' : texts.join('; ') + more
}

function windowsOf(chain: Chain, name: string): string {
  const layers = chain.agents.find((agent) => agent.name === name)?.layers ?? []
  const texts = layers.flatMap(({ window }) => {
    if (window === undefined) return []
    const { afterMs, beforeMs, hours } = window
    return [
      ...(afterMs === undefined ? [] : [`from ${new Date(afterMs).toISOString()}`]),
      ...(beforeMs === undefined ? [] : [`until ${new Date(beforeMs).toISOString()}`]),
      ...(hours === undefined ? [] : [hours]),
    ]
  })
  return `It holds ${texts.join(', ')}.`
}
