import { Client, type ClientConfig, DatabaseError } from 'pg'

/** What the story needs of the gateway: the same calls that every launcher has. */
export interface StoryTeller {
  /** A root of the local owner. */
  root(): Promise<StoryAgent>
  spawn(parent: StoryAgent, name: string, allow: string, purpose: string): Promise<StoryAgent>
  /** How to open a session on the demo's connection with a fresh credential. */
  login(agent: StoryAgent): Promise<ClientConfig>
  kill(agent: StoryAgent, reason: string): Promise<StoryReport>
}

export interface StoryAgent {
  readonly id: string
  readonly name: string
  readonly chain: string
  readonly grant: readonly string[]
  /** What it asked for and did not get. */
  readonly cut: readonly string[]
}

export interface StoryReport {
  readonly agents: number
  readonly sessions: number
  readonly ms: number
}

/** How often the agent that will be killed asks for something. */
const workEveryMs = 40
/** Long enough to see it work, short enough to wait for. */
const workForMs = 600

/**
 * A tree of four agents at work on the demo database, through the same door as everybody: one asks for more than its parent
 * has, one leaves its scope, one meets a rule, and one is killed with all below it while it works.
 */
export async function playDemoStory(
  teller: StoryTeller,
  say: (line: string) => void,
): Promise<void> {
  const owner = await teller.root()
  const bot = await teller.spawn(owner, 'release-bot', 'shop-db:rw,ddl', 'ship the release')
  const fixer = await teller.spawn(bot, 'sql-fixer', 'shop-db:rw', 'repair the orders')
  const scout = await teller.spawn(fixer, 'scout', 'shop-db:rw,ddl', 'look around')
  const reporter = await teller.spawn(
    fixer,
    'reporter',
    'shop-db:read table=orders',
    'count orders',
  )
  say(`  ${owner.name} (you)`)
  say(`  └─ release-bot     ${short(bot)}  ${bot.grant.join(' · ')}`)
  say(`     └─ sql-fixer    ${short(fixer)}  ${fixer.grant.join(' · ')}`)
  say(`        ├─ scout     ${short(scout)}  ${scout.grant.join(' · ')}`)
  say(`        └─ reporter  ${short(reporter)}  ${reporter.grant.join(' · ')}`)
  say('')
  step(
    say,
    1,
    'cut',
    'scout',
    'asked for shop-db:rw,ddl',
    `sql-fixer does not hold ${scout.cut.join(', ')}`,
  )

  const asScout = await session(teller, scout)
  const masked = await asScout.query({
    text: 'select name, email, card from customers limit 1',
    rowMode: 'array',
  })
  step(
    say,
    2,
    'masked',
    'scout',
    'select … from customers',
    (masked.rows[0] as string[]).join(' | '),
  )
  const asReporter = await session(teller, reporter)
  const update = "update customers set name = 'x' where id = 1"
  step(say, 3, 'refused', 'reporter', update, await refusal(asReporter, update))
  const asFixer = await session(teller, fixer)
  const drop = 'drop schema public cascade'
  step(say, 4, 'refused', 'sql-fixer', drop, await refusal(asFixer, drop))
  const asBot = await session(teller, bot)
  step(say, 5, 'blocked', 'release-bot', drop, await refusal(asBot, drop))

  const work = workUntilKilled(asReporter)
  await sleep(workForMs)
  const report = await teller.kill(bot, 'end of the demo')
  const { done, lastWords } = await work
  const line = `${report.agents} agents, ${report.sessions} sessions closed in ${report.ms} ms`
  step(say, 6, 'killed', 'release-bot', 'and all below it', line)
  say(`                reporter had counted ${done} times; it read: ${lastWords}`)
  await Promise.all(
    [asScout, asFixer, asBot].map(async (client) => await client.end().catch(() => undefined)),
  )
}

function step(
  say: (line: string) => void,
  number: number,
  what: string,
  who: string,
  did: string,
  outcome: string,
): void {
  say(`  ${number} ${what.padEnd(9)} ${who.padEnd(12)} ${did.padEnd(42)} ${outcome}`)
}

function short(agent: StoryAgent): string {
  return agent.id.slice(0, 6)
}

async function session(teller: StoryTeller, agent: StoryAgent): Promise<Client> {
  const client = new Client(await teller.login(agent))
  // The end of a session that is killed comes as an error, which its user reads elsewhere.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function refusal(client: Client, text: string): Promise<string> {
  try {
    await client.query(text)
    return 'it ran'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Counts orders until its session is taken away. */
async function workUntilKilled(client: Client): Promise<{ done: number; lastWords: string }> {
  let lastWords = ''
  client.on('error', (error) => {
    if (error instanceof DatabaseError) lastWords = error.detail ?? error.message
  })
  for (let done = 0; ; done += 1) {
    try {
      await client.query('select count(*) from orders')
      await sleep(workEveryMs)
    } catch (error) {
      if (error instanceof DatabaseError) lastWords = error.detail ?? error.message
      return { done, lastWords }
    }
  }
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
