import { emptyCatalog } from '../packages/gateway/src/data-plane/protocols/postgres/classify/classified.ts'
import { SqlClassifier } from '../packages/gateway/src/data-plane/protocols/postgres/classify/classify-sql.ts'
import { fixtureDatabase } from '../packages/gateway/src/data-plane/protocols/postgres/lineage/lineage.fixture.ts'

/**
 * Follows statements over tables with masked columns, and prints microseconds of processor time for each: as a text that was
 * never seen, as one that differs from an earlier one in constants alone, and as one that was seen. Classifying the same
 * texts stands beside, because both are done for each of them.
 */
const statements: readonly (readonly [name: string, text: string])[] = [
  ['by key', 'select id, name, email from people where id = #'],
  [
    'join',
    'select p.name, p.email, o.item from people p join orders o on o.person = p.id where o.id = #',
  ],
  ['view', 'select contact, loud from contacts where id = #'],
  [
    'report',
    `with r as (select person, count(*) n from orders where id > # group by person)
     select p.name, coalesce(p.email, 'none') mail, r.n, rank() over (order by r.n desc)
     from people p left join r on r.person = p.id where p.name like 'a%' order by r.n desc limit 10`,
  ],
  ['update', "update people set name = 'n#' where id = # returning id, email"],
]

/** Time for each figure; shorter ones measure the compiler. */
const msPerFigure = 1000

const database = fixtureDatabase()
const classifier = await SqlClassifier.create()

function microseconds(run: (n: number) => unknown): string {
  for (let n = 0; n < 200; n += 1) run(-n)
  const start = process.cpuUsage()
  let count = 0
  let spent = 0
  while (spent < msPerFigure * 1000) {
    for (let n = 0; n < 100; n += 1) run((count += 1))
    const { user, system } = process.cpuUsage(start)
    spent = user + system
  }
  return (spent / count).toFixed(1).padStart(12)
}

const headings = ['new text', 'new constants', 'same text', 'classify new']
process.stdout.write(`${''.padEnd(10)}${headings.map((word) => word.padStart(15)).join('')}\n`)
for (const [name, text] of statements) {
  const of = (n: number): string => text.replaceAll('#', String(n))
  // A comment is in no template, so that each is a text of its own.
  const cells = [
    microseconds((n) => database.statements(`${of(n)} -- ${n}`)),
    microseconds((n) => database.statements(of(n))),
    microseconds(() => database.statements(text.replaceAll('#', '1'))),
    microseconds((n) => classifier.classify(`${of(n)} /* ${n} */`, emptyCatalog)),
  ]
  process.stdout.write(`${name.padEnd(10)}${cells.map((cell) => cell.padStart(15)).join('')}\n`)
}
await classifier.close()
