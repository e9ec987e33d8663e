import { visibleText, type Approver } from '@sallyport/core'
import type { LoggedIn } from '../births/oidc/human-births.ts'
import type { ApprovalPages } from '../births/oidc/login-routes.ts'
import type { LoginGate } from '../births/ports.ts'
import { answerRefused, type ApprovalDecision, type ApprovalView } from './approval.ts'
import type { Approvals } from './approvals.ts'
import type { BundleView } from './bundles.ts'

type Card = Awaited<ReturnType<ApprovalPages['card']>>

/** A page on which a person who has just logged in decides about something else. */
export interface PersonPage {
  card(id: string, who: Approver): Promise<Card>
  answer(id: string, who: Approver, decision: ApprovalDecision, note: string): Promise<string>
}

/** What a person who has just logged in sees of a request, and how they answer it. */
export function approvalPages(
  approvals: Approvals,
  gate: Pick<LoginGate, 'refusal' | 'seen' | 'groupsOf'>,
  others: (id: string) => PersonPage | undefined = () => undefined,
): ApprovalPages {
  const approverOf = async (person: LoggedIn): Promise<Approver> => {
    const { principal } = person
    const takenBack = await gate.refusal(person)
    if (takenBack !== undefined) throw answerRefused(takenBack)
    await gate.seen(person)
    const groups = await gate.groupsOf(principal, principal.groups)
    const { id, name } = principal
    return { id, kind: 'person', principal: id, name, groups }
  }
  return {
    async card(id, person) {
      const who = await approverOf(person)
      const other = others(id)
      if (other !== undefined) return await other.card(id, who)
      // Who may not answer reads that, and nothing of the command.
      if (isBundle(id)) return bundleCardOf(approvals.bundleFor(id, who))
      return cardOf(await approvals.forApprover(id, who))
    },
    async answer(id, person, decision, note) {
      const who = await approverOf(person)
      const other = others(id)
      if (other !== undefined) return await other.answer(id, who, decision, note)
      if (isBundle(id)) {
        const came = await approvals.answerBundle(id, who, decision, note)
        if (decision === 'deny') return `All ${came.length} are denied.`
        return came.some(({ state }) => state === 'pending')
          ? `All ${came.length} wait for more approvals.`
          : `All ${came.length} are approved, once each.`
      }
      const view = await approvals.answer(id, who, decision, note)
      if (decision === 'deny') return `${view.id} is denied.`
      return view.state === 'pending'
        ? `${view.id} waits for more approvals.`
        : `${view.id} is approved, once.`
    },
  }
}

function isBundle(id: string): boolean {
  return id.startsWith('bd_')
}

/** All requests of a bundle, each with its text, its values and what it is bound to. */
function bundleCardOf({ title, connection, database, until, requests }: BundleView): Card {
  const texts = requests.map(({ id, chain, text, textLength, parameters, binding }, n) =>
    [
      `${n + 1}. ${id}  ${chain.join(' › ')}  SHA-256 ${binding}`,
      textLength > text.length ? `${text} (cut: it has ${textLength} characters)` : text,
      ...valuesOf(parameters),
    ]
      .map(visibleText)
      .join('\n'),
  )
  const [first] = requests
  const facts = [
    { name: 'All or none', value: 'each once; who asks meanwhile is not answered' },
    { name: 'Effect of each', value: first === undefined ? '' : effectOf(first) },
    ...(first?.demands ?? []).map(({ rule, message }) => ({
      name: `Rule ${rule}`,
      value: message,
    })),
    { name: 'Until', value: until },
  ]
  return {
    title: `${title} (${connection}/${database})?`,
    text: texts.join('\n\n'),
    facts: facts.map(({ name, value }) => ({ name, value: visibleText(value) })),
  }
}

function valuesOf(parameters: ApprovalView['parameters']): string[] {
  return parameters.map((value, n) => `$${n + 1} = ${value ?? 'NULL'}`)
}

function cardOf(view: ApprovalView): Card {
  const { verb, connection, database, chain, level, application, source, parameters } = view
  const values = valuesOf(parameters)
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
    ...(view.bundle === undefined
      ? []
      : [
          {
            name: `One of ${view.bundle.title}`,
            value: `answered together at /a/${view.bundle.id}`,
          },
        ]),
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
