import { visibleText } from '@sallyport/core'
import type { ApprovalView, Told } from '@sallyport/gateway'

const indent = ' '.repeat(9)

/** All of one request, for whoever decides. What its caller wrote is shown as text, and nothing in it acts on the terminal. */
export function cardOf(view: ApprovalView): string {
  const { text, textLength, parameters, inTransaction, opaque } = view
  const cut = textLength > text.length ? `\n${indent}… ${textLength} characters in all` : ''
  const lines = [
    `${view.id}  ${view.state}  ${view.verb.toUpperCase()} on ${view.connection}/${visibleText(view.database)}`,
    `WHO      ${view.chain.join(' › ')}  ${view.agent}  L${view.level}  ${visibleText(view.application)} from ${view.source}`,
    `WHAT     ${visibleText(text).replaceAll('\n', `\n${indent}`)}${cut}`,
    ...parameters.map(
      (value, n) => `${indent}$${n + 1} = ${value === null ? 'NULL' : visibleText(value)}`,
    ),
    `BOUND TO sha ${view.binding.slice(0, 12)}…  this agent, connection, text and values, policy version ${view.policyVersion}`,
    `EFFECT   ${effectOf(view)}`,
    ...(opaque.length > 0 ? [`${indent}effect not known: ${opaque.join(', ')}`] : []),
    ...previewLines(view),
    `OPEN     ${inTransaction ? 'a transaction: its locks are held while this waits' : 'no transaction'}`,
    ...view.demands.map(
      ({ rule, message }) => `WHY      ${rule}${message === '' ? '' : `: ${message}`}`,
    ),
    `WANTS    ${wanted(view)}`,
    `OFFERS   ${offered(view)}`,
    `ASKED    ${view.askedAt}, until ${view.until}`,
    ...view.answers.map(
      ({ by, answer, note, at }) =>
        `ANSWER   ${answer} by ${by} at ${at}${note === '' ? '' : `: ${visibleText(note)}`}`,
    ),
    ...(view.note === undefined ? [] : [`ENDED    ${visibleText(view.note)}`]),
  ]
  return `${lines.join('\n')}\n`
}

/** `2 of group:dba and 1 of owner`. */
export function wanted({ demands }: ApprovalView): string {
  return demands.map(({ from, count }) => `${count} of ${from.join(', ')}`).join(' and ')
}

/** What every rule that asks offers. */
function offered({ demands }: ApprovalView): string {
  const [first, ...others] = demands
  const all = first?.offer.filter((each) => others.every(({ offer }) => offer.includes(each)))
  return all === undefined || all.length === 0 ? 'nothing that all rules offer' : all.join(', ')
}

function effectOf({ class: of, objects, unbounded }: ApprovalView): string {
  const names = objects.length === 0 ? 'nothing named' : objects.map(visibleText).join(', ')
  return `${of} · ${names}${unbounded ? ' · not limited: every row' : ''}`
}

function previewLines({ preview, state }: ApprovalView): string[] {
  if (preview === undefined) {
    const why = state === 'pending' ? 'the target is being asked' : 'nobody looked before it ended'
    return [`${indent}effect not known: ${why}`]
  }
  const { estimate, count, tables, locks, undo, sample, before, sameShape } = preview
  const line = (name: string, text: string): string => `${indent}${name.padEnd(11)}${text}`
  return [
    line(
      'rows',
      say(estimate, (rows) => `~${number(rows)}`),
    ),
    ...(count === undefined ? [] : [line('', say(count, number))]),
    ...(tables.known
      ? tables.value.flatMap((table) => [
          line(
            'touches',
            `${visibleText(table.name)}, ${say(table.rows, (rows) => `~${number(rows)} rows in all`)}`,
          ),
          ...table.cascades.map((each) => line('', `cascades to ${visibleText(each)}`)),
          ...table.triggers.map((each) => line('', `trigger ${visibleText(each)}`)),
        ])
      : [
          line(
            'touches',
            say(tables, () => ''),
          ),
        ]),
    line(
      'locks',
      say(locks, (text) => text),
    ),
    line(
      'undo',
      say(undo, (text) => text),
    ),
    ...(sample?.known === true
      ? [
          line('sample', `of ${sample.value.rows.length} matching rows`),
          ...[sample.value.columns, ...sample.value.rows].map((row) =>
            line('', row.map((value) => (value === null ? 'NULL' : oneLine(value))).join(' | ')),
          ),
        ]
      : sample === undefined
        ? []
        : [
            line(
              'sample',
              say(sample, () => ''),
            ),
          ]),
    ...(before.known
      ? before.value.map(
          ({ at, verdict, text }, n) =>
            `${n === 0 ? 'BEFORE   ' : indent}${at}  ${verdict}  ${oneLine(text)}`,
        )
      : [`BEFORE   ${say(before, () => '')}`]),
    `${indent}same shape ${say(sameShape, ({ days, approved, denied, by }) => {
      const names = by.length === 0 ? '' : ` (${by.map(visibleText).join(', ')})`
      return `approved ${approved} times in ${days} days, denied ${denied}${names}`
    })}`,
  ]
}

/** What is told names its source, and what is not known says so. */
function say<T>(told: Told<T>, text: (value: T) => string): string {
  return told.known
    ? `${text(told.value)} (${told.source})`
    : `effect not known: ${visibleText(told.why)}`
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

function oneLine(text: string): string {
  return visibleText(text.replaceAll(/\s+/gu, ' '))
}
