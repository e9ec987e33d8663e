import type { AgentId } from '@sallyport/core'
import type { BirthEvent } from '../births/ports.ts'
import type { SignalEvent } from '../signals/signal.ts'
import { gatewayBy, nobody, type Fact } from './ledger.ts'

/** Somebody asked too often. */
export function limited(why: string, subject = 'api'): Fact {
  return { what: 'rate.limited', actor: nobody, subject, detail: { why } }
}

/** What a birth tells of, as a fact. The agent that it made was recorded before, with its birth. */
export function birthFact(event: BirthEvent): Fact {
  switch (event.kind) {
    case 'login':
      return {
        what: 'login',
        actor: { by: 'principal', name: event.principal },
        subject: event.agent,
        detail: { provider: event.provider },
      }
    case 'login.refused':
      return {
        what: event.kind,
        actor: nobody,
        subject: event.provider,
        detail: { why: event.why },
      }
    case 'token.accepted':
      return {
        what: event.kind,
        actor: { by: 'principal', name: event.rule },
        subject: event.agent,
        detail: { rule: event.rule },
      }
    case 'token.refused':
      return {
        what: event.kind,
        actor: nobody,
        subject: event.issuer,
        detail: { rule: event.rule, why: event.why },
      }
    case 'token.replayed':
      return {
        what: event.kind,
        actor: nobody,
        subject: event.agent ?? event.rule,
        detail: { rule: event.rule, why: event.why },
      }
    case 'exchange':
      return {
        what: event.kind,
        actor: agentBy(event.parent),
        subject: event.agent,
      }
  }
}

/** What a provider reported, as a fact; undefined where it changed nothing. */
export function signalFact(event: SignalEvent): Fact | undefined {
  switch (event.kind) {
    case 'signal.applied': {
      const { provider, signal, roots, why } = event
      const actor = gatewayBy(provider)
      return { what: event.kind, actor, subject: provider, detail: { signal, roots, why } }
    }
    case 'signal.refused': {
      const { provider = 'unknown', why } = event
      return { what: event.kind, actor: nobody, subject: provider, detail: { why } }
    }
    case 'signal.by-name': {
      const { provider, signal } = event
      return { what: event.kind, actor: gatewayBy(provider), subject: provider, detail: { signal } }
    }
    case 'signal.repeated':
      return undefined
  }
}

function agentBy(id: AgentId): Fact['actor'] {
  return { by: 'agent', name: id, chain: [{ id, name: '' }] }
}
