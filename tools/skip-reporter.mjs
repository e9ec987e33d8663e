/** Reporter of `node:test` that writes one line for each skipped test: file, name and reason. */
export default async function* skipReporter(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.skip === undefined || data.skip === false) continue
    const reason = typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'no reason given'
    yield `${data.file ?? ''} "${data.name}": ${reason}\n`
  }
}
