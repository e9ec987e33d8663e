import { printTtl, visibleText } from '@sallyport/core'
import type { PersonPage } from '../approvals/approval-pages.ts'
import type { Incidents } from '../incidents/incidents.ts'
import type { GlassDrafts } from './glass-drafts.ts'
import type { Glasses } from './glasses.ts'

/** Where a person breaks the glass for an agent of theirs, which has asked for it. */
export function glassPage(glasses: Glasses, drafts: GlassDrafts): PersonPage {
  return {
    async card(id, who) {
      const asked = drafts.get(id)
      const { name, review } = glasses.mustBeAllowed(who, asked)
      const facts = [
        { name: 'For', value: asked.agent },
        { name: 'On', value: asked.connections.join(', ') },
        { name: 'How long', value: printTtl(asked.forMs) },
        { name: 'Grant', value: name },
        {
          name: 'What comes of it',
          value: 'no command of this agent waits for an approval; blocks and grants hold',
        },
        { name: 'Who is told', value: 'the owner, where they watch; an incident is opened' },
        { name: 'Who closes the incident', value: `${review.join(', ')}, and not you` },
      ]
      return await Promise.resolve({
        title: 'Break the glass?',
        text: visibleText(asked.reason),
        facts: facts.map(({ name: of, value }) => ({ name: of, value: visibleText(value) })),
        yes: 'Break the glass',
      })
    },
    async answer(id, who, decision) {
      glasses.mustBeAllowed(who, drafts.get(id))
      const asked = drafts.take(id)
      if (decision === 'deny') return 'The glass is whole.'
      const { id: glass, until, incident } = await glasses.break(who, asked)
      return `${glass} is open for ${asked.agent} until ${until}. The incident is ${incident}.`
    },
  }
}

/** Where a person closes the incident of a glass that somebody else broke. */
export function incidentPage(incidents: Incidents): PersonPage {
  return {
    async card(id, who) {
      const { title, glass, openedAt, scope, sessions } = await incidents.forReviewer(id, who)
      return {
        title: `Close ${id}?`,
        text: visibleText(title),
        facts: [
          { name: 'Opened', value: `${openedAt}, by ${glass?.by ?? ''}` },
          { name: 'Covers', value: `${scope.text}, ${sessions.length} sessions` },
        ].map(({ name, value }) => ({ name, value: visibleText(value) })),
        yes: 'Close it',
        no: 'Leave it open',
      }
    },
    async answer(id, who, decision, note) {
      await incidents.forReviewer(id, who)
      if (decision === 'deny') return `${id} stays open.`
      if (note.trim() === '') return `Nothing was closed: say in the note what came of it.`
      await incidents.close(id, note, who)
      return `${id} is closed.`
    },
  }
}
