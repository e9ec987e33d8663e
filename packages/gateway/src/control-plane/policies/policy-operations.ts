import { SallyportError } from '@sallyport/core'
import type { PolicyFollower } from '../follow-policies.ts'
import type { FactBy } from '../ledger/ledger.ts'
import type { Parts } from '../parts.ts'
import type { WorkerPool } from '../worker-pool.ts'
import { Explainer } from './explain/explainer.ts'
import { parseMoment } from '../recordings/index/query/parse-moment.ts'
import { printProblems } from './config-problem.ts'
import { readPolicyFiles } from './load-policy-folder.ts'
import { simulate } from './simulate/simulate.ts'
import { knownGroups } from './known-groups.ts'
import type { PolicyOperations } from './policy-routes.ts'

/** Nobody reads more tests of one session. */
const recordedMax = 1000

/** The policy workbench, on what this gateway has. */
export function policyOperations(
  { store, snapshots, recorded, shipper, sessions, agents, ledger }: Parts,
  pool: WorkerPool,
  follower: PolicyFollower,
  actor: FactBy,
): PolicyOperations {
  const versions = snapshots.policyVersions
  const explainer = new Explainer({
    store,
    versions,
    recorded,
    settle: async () => await shipper.round(),
    wholeSession: async (prefix) => await sessions.whole(prefix),
    tryCommand: async (request) => await pool.tryCommand(request),
    findAgent: (prefix) => agents.get(prefix)?.id,
  })
  return {
    groups: async () => await knownGroups(store),
    async explain(what) {
      const explanation = await explainer.decision(what)
      const subject = explanation.session ?? ''
      await ledger.write({ what: 'session.viewed', actor, subject, detail: { form: 'explain' } })
      return explanation
    },
    tryCommand: async (request) => await explainer.trial(request),
    async recorded(what) {
      const commands = []
      for await (const command of explainer.commands(what)) {
        if (commands.length >= recordedMax) {
          const detail = `more than ${recordedMax} commands: name one of them`
          throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
        }
        commands.push(command)
      }
      const subject = commands[0]?.session
      if (subject === undefined)
        throw new SallyportError('SP_NOT_FOUND', `no command with recorded facts: ${what}`)
      await ledger.write({ what: 'session.viewed', actor, subject, detail: { form: 'tests' } })
      return commands
    },
    async simulate(files, since) {
      const loaded = readPolicyFiles(files)
      if (loaded.kind === 'refused') {
        const text = printProblems(loaded.problems, 'Nothing was replayed.')
        throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
      }
      const range = parseMoment(since, Date.now())
      if (range === undefined) {
        const detail = `"${since}" is not a time: 7d, 2026-11-20, 2026-11-20T14:00`
        throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
      }
      await ledger.write({
        what: 'policies.simulated',
        actor,
        subject: 'policies',
        detail: { since },
      })
      const events = simulate({ recorded, versions, store }, loaded.policies, range.fromMs)
      return lines(events)
    },
    files: () => snapshots.policyFiles,
    versions: async () => await versions.list(),
    version: async (number) => await versions.get(number),
    async revert(number) {
      if (number === snapshots.policyVersion)
        throw new SallyportError('SP_CONFIG_INVALID', `v${number} is in force`)
      return await follower.revert(number, actor)
    },
  }
}

async function* lines(events: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const event of events) yield `${JSON.stringify(event)}\n`
}
