import type { RuleDemand } from '../approval/demand.ts'
import type { Chain } from '../chain.ts'
import { compareIds, type CompiledPolicies, type CompiledRule } from './compile-policies.ts'
import type { Policy, RuleSubject } from './policy.ts'
import { matchesAny, starGlob } from './star-glob.ts'

/** What selection and facts need to know of a connection. */
export interface RuleConnection {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly type?: string
}

/** The rules in force for one subject, connection and chain. Valid as long as all of these and the policies stay the same. */
export interface SelectedRules {
  /** In the order of their ids, so that the order of files never matters. */
  readonly rules: readonly CompiledRule[]
  /** False for the opening of a session, which the grant has already allowed. */
  readonly defaultsApply: boolean
  readonly unmatched: 'allow' | 'approve' | 'block'
  readonly unknown: 'allow' | 'approve' | 'block'
  /** Whose approval a default asks for that says `approve`. */
  readonly defaultDemands: readonly RuleDemand[]
  /** True when a rule reads a fact that differs between two executions of the same text in one session. */
  readonly readsVolatileFacts: boolean
  /** True when a rule reads the text: commands with the same effects may get other verdicts. */
  readonly readsText: boolean
}

type Default = SelectedRules['unmatched']

/** Paths that a verdict must not be cached over. */
const volatilePaths =
  /^(?:now|op\.inTransaction|op\.bytes|agent\.(?:ageSeconds|ttlSeconds|recent\..*)|tree\..*|root\.authAgeSeconds)$/u

/** Selects the rules whose policy applies and whose `on` contains the subject. */
export function selectRules(
  compiled: CompiledPolicies,
  subject: RuleSubject,
  connection: RuleConnection,
  chain: Chain,
): SelectedRules {
  const applying = compiled.policies.filter(({ policy }) => applies(policy, connection, chain))
  // A policy that only observes changes nothing, by its defaults neither.
  const stating = applying.filter(({ policy }) => policy.mode === 'enforce')
  const rules = applying
    .flatMap((entry) => entry.rules)
    .filter((rule) => isOn(rule.rule.on, subject))
    .sort(compareIds)
  return {
    rules,
    defaultsApply: subject !== 'session',
    unmatched: strictest(stating.map(({ policy }) => policy.defaults.unmatched)) ?? 'allow',
    unknown: strictest(stating.map(({ policy }) => policy.defaults.unknown)) ?? 'block',
    defaultDemands: stating.flatMap(({ policy: { name, defaults } }) =>
      defaults.approve === undefined
        ? []
        : [{ rule: `${name}/defaults`, message: '', demand: defaults.approve }],
    ),
    readsText: rules.some((rule) => rule.condition.reads.includes('op.text')),
    readsVolatileFacts: rules.some((rule) =>
      rule.condition.reads.some((path) => volatilePaths.test(path)),
    ),
  }
}

function isOn(on: readonly RuleSubject[], subject: RuleSubject): boolean {
  if (on.includes(subject)) return true
  return on.includes('any') && subject !== 'session' && subject !== 'shell-line'
}

function applies(policy: Policy, connection: RuleConnection, chain: Chain): boolean {
  const { connections, labels, to } = policy.applies
  if (connections.length > 0 && !matchesAny(connections, connection.name)) return false
  for (const [name, glob] of Object.entries(labels)) {
    const value = Object.hasOwn(connection.labels, name) ? connection.labels[name] : undefined
    if (value === undefined || !starGlob(glob)(value)) return false
  }
  return to.length === 0 || to.some((who) => isWho(who, chain))
}

function isWho(who: string, chain: Chain): boolean {
  const colon = who.indexOf(':')
  const glob = starGlob(who.slice(colon + 1))
  if (who.startsWith('group:')) return chain.root.groups.some(glob)
  if (who.startsWith('user:')) return glob(chain.root.name) || glob(chain.root.id)
  // A word that is not understood must not make a policy disappear.
  return true
}

function strictest(stated: readonly (Default | undefined)[]): Default | undefined {
  if (stated.includes('block')) return 'block'
  if (stated.includes('approve')) return 'approve'
  return stated.includes('allow') ? 'allow' : undefined
}
