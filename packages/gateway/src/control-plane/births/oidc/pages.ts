import { createHash } from 'node:crypto'

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.3rem}dt{color:#555}dd{margin:0 0 .6rem;font-weight:600;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8881;padding:.6rem;max-height:50vh;overflow:auto}
button,input{font:inherit;padding:.5rem 1rem;margin-right:.5rem}input{text-transform:uppercase;letter-spacing:.1em;width:12ch}
@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}dt{color:#aaa}}`
const styleHash = createHash('sha256').update(style).digest('base64')

/** No script, no framing, and forms that go nowhere but here and, through a redirect, to a program on the person's machine. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self' http://127.0.0.1:* http://[::1]:*; frame-ancestors 'none'; base-uri 'none'`,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** A page with a title and paragraphs of text. */
export function messagePage(title: string, ...lines: readonly string[]): string {
  return page(title, lines.map((line) => `<p>${escape(line)}</p>`).join('\n'))
}

/** Asks for the code that a device shows. */
export function codePage(userCode: string, problem?: string): string {
  const note = problem === undefined ? '' : `<p role="alert">${escape(problem)}</p>`
  return page(
    'Log in a device',
    `${note}<p>Enter the code that the terminal shows. Only go on if you started the login yourself.</p>
<form method="post" action="/device"><label>Code <input name="user_code" value="${escape(userCode)}" maxlength="16" autocomplete="off" autofocus required></label>
<button>Next</button></form>`,
  )
}

/** Lets a person choose where to log in. */
export function choicePage(
  links: readonly { readonly name: string; readonly href: string }[],
): string {
  const items = links.map(
    ({ name, href }) => `<li><a href="${escape(href)}">${escape(name)}</a></li>`,
  )
  return page('Log in with', `<ul>${items.join('')}</ul>`)
}

/** What a person allows, and to whom. */
export interface Consent {
  readonly id: string
  readonly user: string
  readonly facts: readonly { readonly name: string; readonly value: string }[]
}

/** Nobody becomes an agent's root by a session of the provider that happens to be alive: a person has to press a button. */
export function consentPage({ id, user, facts }: Consent): string {
  const rows = facts.map(({ name, value }) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`)
  return page(
    `Log in as ${user}?`,
    `<dl>${rows.join('')}</dl><p>Only allow this if you started it yourself a moment ago.</p>
<form method="post" action="/login/confirm"><input type="hidden" name="id" value="${escape(id)}">
<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>`,
  )
}

/** A request for approval, as a person decides about it. */
export interface ApprovalCard {
  readonly id: string
  readonly title: string
  readonly user: string
  readonly facts: readonly { readonly name: string; readonly value: string }[]
  /** The command, without anything that is not seen. */
  readonly text: string
  /** What the buttons say, where it is not to approve once or to deny. */
  readonly yes?: string
  readonly no?: string
}

/** Everything on it that came from the caller is text: nothing is marked up, nothing is a link. */
export function approvalPage({ id, title, user, facts, text, ...buttons }: ApprovalCard): string {
  const { yes = 'Approve once', no = 'Deny' } = buttons
  const rows = facts.map(({ name, value }) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`)
  return page(
    title,
    `<pre>${escape(text)}</pre><dl>${rows.join('')}</dl><p>You are ${escape(user)}. What you decide is recorded with your name.</p>
<form method="post" action="/a/answer"><input type="hidden" name="id" value="${escape(id)}">
<p><label>Note <textarea name="note" maxlength="500" rows="2" cols="50"></textarea></label></p>
<button name="decision" value="approve">${escape(yes)}</button><button name="decision" value="deny">${escape(no)}</button></form>`,
  )
}

/** A whole page. `body` is markup. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)} · Sallyport</title><style>${style}</style></head>
<body><main><h1>${escape(title)}</h1>
${body}
</main></body></html>
`
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escape(text: string): string {
  return text.replaceAll(/[&<>"']/gu, (mark) => escapes[mark] ?? '')
}
