import { visibleText, type Approver } from '@sallyport/core'
import type { LoggedIn } from '../births/oidc/human-births.ts'
import type { ApprovalPages } from '../births/oidc/login-routes.ts'
import type { LoginGate } from '../births/ports.ts'
import { answerRefused, type ApprovalView } from './approval.ts'
import type { Approvals } from './approvals.ts'

/** What a person who has just logged in sees of a request, and how they answer it. */
export function approvalPages(
  approvals: Approvals,
  gate: Pick<LoginGate, 'refusal' | 'groupsOf'>,
): ApprovalPages {
  const approverOf = async (person: LoggedIn): Promise<Approver> => {
    const { principal } = person
    const takenBack = await gate.refusal(person)
    if (takenBack !== undefined) throw answerRefused(takenBack)
    const groups = await gate.groupsOf(principal, principal.groups)
    const { id, name } = principal
    return { id, kind: 'person', principal: id, name, groups }
  }
  return {
    async card(id, person) {
      // Who may not answer reads that, and nothing of the command.
      const view = await approvals.forApprover(id, await approverOf(person))
      return cardOf(view)
    },
    async answer(id, person, decision, note) {
      const view = await approvals.answer(id, await approverOf(person), decision, note)
      if (decision === 'deny') return `${view.id} is denied.`
      return view.state === 'pending'
        ? `${view.id} waits for more approvals.`
        : `${view.id} is approved, once.`
    },
  }
}

function cardOf(view: ApprovalView): Awaited<ReturnType<ApprovalPages['card']>> {
  const { verb, connection, database, chain, level, application, source, parameters } = view
  const values = parameters.map((value, n) => `$${n + 1} = ${value ?? 'NULL'}`)
  const cut =
    view.textLength > view.text.length ? `, cut: it has ${view.textLength} characters` : ''
  const facts = [
    { name: 'Who', value: `${chain.join(' › ')} (${view.agent}, L${level})` },
    { name: 'With', value: `${application} from ${source}, as it says` },
    { name: `Bound to${cut}`, value: `SHA-256 ${view.binding}` },
    ...(values.length === 0 ? [] : [{ name: 'Values', value: values.join(', ') }]),
    { name: 'Effect', value: effectOf(view) },
    {
      name: 'Transaction',
      value: view.inTransaction ? 'open: its locks are held while this waits' : 'none is open',
    },
    ...view.demands.map(({ rule, message }) => ({ name: `Rule ${rule}`, value: message })),
    { name: 'Until', value: view.until },
  ]
  return {
    title: `${verb.toUpperCase()} on ${connection}/${database}?`,
    text: visibleText(view.text),
    facts: facts.map(({ name, value }) => ({ name, value: visibleText(value) })),
  }
}

function effectOf({ class: of, objects, unbounded, opaque }: ApprovalView): string {
  if (opaque.length > 0) return `not known: ${opaque.join(', ')}`
  const names = objects.length === 0 ? '' : ` on ${objects.join(', ')}`
  return `${of}${names}${unbounded ? ', every row' : ''}`
}
