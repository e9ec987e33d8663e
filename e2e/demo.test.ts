import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { playDemo, startGateway } from '@sallyport/gateway'

test(
  'the demo shows a cut, a mask, two refusals, a block, and a kill that closes what works',
  { timeout: 120_000 },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
    const gateway = await startGateway({
      dataDir,
      ports: { api: 0, postgres: 0 },
      host: '127.0.0.1',
      workers: 2,
      durability: 'process',
      demo: true,
      onEvent: () => undefined,
    })
    try {
      const lines: string[] = []
      await playDemo(gateway, (line) => lines.push(line))
      const story = lines.join('\n')
      assert.match(story, /1 cut .*sql-fixer does not hold shop-db:ddl/)
      assert.match(story, /2 masked .*a\*\*@\*\*\*/)
      assert.match(story, /3 refused .*not in your grant: write on shop-db public\.customers/)
      assert.match(story, /4 refused .*not in your grant: ddl/)
      assert.match(story, /5 blocked .*rule "no-drop-database"/)
      assert.match(story, /6 killed .*4 agents, 4 sessions closed/)
      const counted = /had counted (\d+) times; it read: .*was revoked/.exec(story)
      assert.ok(Number(counted?.[1]) > 0, story)
    } finally {
      await gateway.stop(0)
      await rm(dataDir, { recursive: true, force: true })
    }
  },
)
