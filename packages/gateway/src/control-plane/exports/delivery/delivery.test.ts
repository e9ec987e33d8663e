import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { appendFile, mkdtempDisposable, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { Secret } from '@sallyport/core'
import { until } from '@sallyport/testkit'
import type { WaitingFact } from '../outbox.ts'
import { Deliverer, type DelivererOptions } from './deliverer.ts'
import { DeliveryError, type Destination } from './destination.ts'
import { RotatingFile } from './rotating-file.ts'
import { Webhook } from './webhook.ts'

const never = new AbortController().signal
const secret = 'a secret of more than thirty-two characters'

interface Asked {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
type Answer = (asked: Asked, response: ServerResponse) => void

/** A receiver that answers as a test says. */
class Receiver implements AsyncDisposable {
  readonly asked: Asked[] = []
  readonly #server: Server

  private constructor(answer: Answer) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const asked = { headers: request.headers, body: Buffer.concat(chunks).toString() }
        this.asked.push(asked)
        answer(asked, response)
      })
    })
  }

  static async start(answer: Answer): Promise<Receiver> {
    const receiver = new Receiver(answer)
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/in`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function webhook(url: string, key = secret, answerMs?: number): Webhook {
  const config = { name: 'siem', type: 'webhook', url, secret: new Secret(key) } as const
  return new Webhook({ ...config, withText: false }, () => 1_700_000_000_500, answerMs)
}

const events = [
  { id: 7n, line: '{"n":1}' },
  { id: 9n, line: '{"n":2}' },
]

suite('a webhook', () => {
  test('posts lines, signed over id, time and body', async () => {
    await using receiver = await Receiver.start((_, response) => response.end())
    await webhook(receiver.url).deliver(events, never)
    const [asked] = receiver.asked
    assert.equal(asked?.body, '{"n":1}\n{"n":2}\n')
    assert.equal(asked.headers['content-type'], 'application/x-ndjson')
    assert.equal(asked.headers['webhook-id'], 'siem-7-9')
    assert.equal(asked.headers['webhook-timestamp'], '1700000000')
    const signed = createHmac('sha256', secret).update(`siem-7-9.1700000000.${asked.body}`)
    assert.equal(asked.headers['webhook-signature'], `v1,${signed.digest('base64')}`)
  })

  test('takes a key as Standard Webhooks writes them', async () => {
    const key = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    await using receiver = await Receiver.start((_, response) => response.end())
    await webhook(receiver.url, key).deliver(events, never)
    const { headers, body } = receiver.asked[0] ?? { headers: {}, body: '' }
    const bytes = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')
    const signed = createHmac('sha256', bytes)
      .update(`siem-7-9.1700000000.${body}`)
      .digest('base64')
    assert.equal(headers['webhook-signature'], `v1,${signed}`)
  })

  test('fails on every answer but 2xx, follows nothing, and tells no words of the receiver', async () => {
    for (const status of [301, 302, 400, 401, 404, 413, 429, 500, 503]) {
      await using receiver = await Receiver.start((_, response) => {
        response.writeHead(status, { location: '/elsewhere', 'retry-after': '7' }).end('the secret')
      })
      const failed = await webhook(receiver.url)
        .deliver(events, never)
        .catch((error: unknown) => error)
      assert.ok(failed instanceof DeliveryError)
      assert.equal(failed.message, `the receiver answered ${status}`)
      assert.deepEqual([failed.retryAfterMs, failed.isTooLarge], [7000, status === 413])
      assert.equal(receiver.asked.length, 1)
    }
  })

  test('fails where the receiver hangs, resets, or is not there', async () => {
    const failure = async (answer: Answer): Promise<string> => {
      await using receiver = await Receiver.start(answer)
      const sent = webhook(receiver.url, secret, 300).deliver(events, never)
      return await sent.then(
        () => 'delivered',
        (error: unknown) => (error instanceof DeliveryError ? error.message : 'other'),
      )
    }
    assert.match(await failure(() => undefined), /no answer in time/)
    assert.match(await failure((_, response) => response.destroy()), /UND_ERR_SOCKET|ECONNRESET/)
    // Half an answer says that it was taken: its end is not waited for.
    assert.equal(await failure((_, response) => response.write('half')), 'delivered')
    const gone = await Receiver.start(() => undefined)
    const { url } = gone
    await gone[Symbol.asyncDispose]()
    await assert.rejects(webhook(url).deliver(events, never), /ECONNREFUSED/)
  })
})

suite('a file', () => {
  const fileIn = (dir: string, rotateBytes = 1e6): Destination =>
    new RotatingFile(
      { name: 'f', type: 'file', path: join(dir, 'events.ndjson'), rotateBytes, withText: false },
      () => 1_700_000_000_500,
    )

  test('gets lines, and a line that was torn is cut off before the next', async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'sallyport-file-'))
    const path = join(dir.path, 'events.ndjson')
    await fileIn(dir.path).deliver(events, never)
    await appendFile(path, '{"n":3,"torn')
    await fileIn(dir.path).deliver([{ id: 10n, line: '{"n":3}' }], never)
    assert.equal(await readFile(path, 'utf8'), '{"n":1}\n{"n":2}\n{"n":3}\n')
    await writeFile(path, 'x'.repeat(200_000))
    await fileIn(dir.path).deliver(events, never)
    assert.equal(await readFile(path, 'utf8'), '{"n":1}\n{"n":2}\n')
  })

  test('gets another name when it is large, and loses nothing by it', async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'sallyport-file-'))
    const file = fileIn(dir.path, 10)
    await file.deliver(events, never)
    assert.deepEqual(await readdir(dir.path), ['events.ndjson.20231114T221320.500Z'])
    await file.deliver([{ id: 10n, line: 'x' }], never)
    assert.equal(await readFile(join(dir.path, 'events.ndjson'), 'utf8'), 'x\n')
    // Two in one millisecond must not share a name.
    await file.deliver(events, never)
    const names = await readdir(dir.path)
    assert.equal(names.length, 2, names.join(' '))
    const all = await Promise.all(
      names.map(async (name) => await readFile(join(dir.path, name), 'utf8')),
    )
    assert.equal(all.join('').split('\n').length - 1, 5)
  })

  test('fails where it cannot be written, and says no more than the code', async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'sallyport-file-'))
    const missing = fileIn(join(dir.path, 'missing'))
    await assert.rejects(
      missing.deliver(events, never),
      /^Error: the file cannot be written: ENOENT$/,
    )
    const folder = fileIn(dir.path)
    await rm(dir.path, { recursive: true })
    await writeFile(dir.path, '')
    await assert.rejects(folder.deliver(events, never), /ENOTDIR/)
  })
})

/** An outbox in memory. */
function outboxOf(count: number): DelivererOptions['outbox'] & { position: bigint; add(): void } {
  const all = Array.from({ length: count }, (_, n) => n + 1)
  const wakers = new Set<() => void>()
  return {
    position: 0n,
    add() {
      all.push(all.length + 1)
      for (const wake of wakers) wake()
    },
    onMore(wake) {
      wakers.add(wake)
      return () => wakers.delete(wake)
    },
    async read(_name, most) {
      return await Promise.resolve(
        all
          .filter((n) => n > this.position)
          .slice(0, most)
          .map((n): WaitingFact => ({
            id: BigInt(n),
            fact: { uid: `u${n}` } as WaitingFact['fact'],
          })),
      )
    },
    async told(_name, id) {
      this.position = id
      await Promise.resolve()
    },
    backlog: async () => await Promise.resolve({ events: 0 }),
  }
}

function deliverer(outbox: DelivererOptions['outbox'], destination: Destination): Deliverer {
  return new Deliverer({
    name: 'x',
    type: 'webhook',
    outbox,
    destination,
    retryMsFirst: 1,
    lineOf: ({ uid }) => uid,
    onFault: () => undefined,
  })
}

suite('a deliverer', () => {
  test('brings every event to a receiver that fails in every way, in order, and none only half', async () => {
    let nth = 0
    const taken: string[] = []
    await using receiver = await Receiver.start(({ body }, response) => {
      nth += 1
      // A batch may be too large, refused, lost before or after it was taken.
      if (body.length > 600) return response.writeHead(413).end()
      if (nth % 5 === 1) return response.writeHead(500).end()
      if (nth % 5 === 2) return response.destroy()
      taken.push(...body.trimEnd().split('\n'))
      if (nth % 5 === 3) return response.destroy()
      if (nth % 5 === 4) return undefined
      return response.end()
    })
    const outbox = outboxOf(1000)
    const all = deliverer(outbox, webhook(receiver.url, secret, 200))
    all.start()
    await until('all were taken', () => outbox.position === 1000n)
    outbox.add()
    await until('what came later too', () => outbox.position === 1001n)
    await all.stop()
    const once = [...new Set(taken)]
    assert.deepEqual(
      once,
      Array.from({ length: 1001 }, (_, n) => `u${n + 1}`),
    )
    assert.ok(taken.length > once.length, 'the test lost no answer')
    assert.ok(all.counts.failures > 3)
  })

  test('stops at once while a receiver hangs', async () => {
    await using receiver = await Receiver.start(() => undefined)
    const outbox = outboxOf(3)
    const hanging = deliverer(outbox, webhook(receiver.url))
    hanging.start()
    await until('it was asked', () => receiver.asked.length === 1)
    await hanging.stop()
    assert.equal(outbox.position, 0n)
  })
})
