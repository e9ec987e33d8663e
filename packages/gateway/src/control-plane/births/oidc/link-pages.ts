import type { LoggedIn } from './human-births.ts'
import { escape, page } from './pages.ts'

/** Links of accounts of chats, as pages need them. */
export interface LinkPages {
  /** Whose account a code was given to. Throws `LoginRefused` where it was given to nobody. */
  describe(code: string): readonly { readonly name: string; readonly value: string }[]
  /** Returns what came of it. */
  link(person: LoggedIn, code: string): Promise<string>
  unlinkAll(person: LoggedIn): Promise<string>
}

/** Asks a person who has just logged in for the code that the chat gave them. */
export function linkCodePage(id: string, user: string): string {
  return page(
    'Link an account of a chat',
    `<p>You are ${escape(user)}. Enter the code that the chat showed to you, and to nobody else: whoever uses that account will answer
requests in your name. Nobody has a reason to send you a code.</p>
<form method="post" action="/link/code"><input type="hidden" name="id" value="${escape(id)}">
<label>Code <input name="code" maxlength="16" autocomplete="off" autofocus></label>
<button name="decision" value="next">Next</button><button name="decision" value="unlink">Unlink all of mine</button></form>`,
  )
}

/** Shows whose account it is before it is linked. */
export function linkPage(
  id: string,
  user: string,
  facts: readonly { readonly name: string; readonly value: string }[],
): string {
  const rows = facts.map(({ name, value }) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`)
  return page(
    `Does this account belong to ${user}?`,
    `<dl>${rows.join('')}</dl><p>Whoever uses it will answer requests in your name. Link it only where it is yours.</p>
<form method="post" action="/link/answer"><input type="hidden" name="id" value="${escape(id)}">
<button name="decision" value="link">Link</button><button name="decision" value="cancel">Cancel</button></form>`,
  )
}
