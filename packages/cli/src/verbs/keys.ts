import type { KeysView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'

/** Prints which keys recordings are signed with. */
export async function keys({ api, output }: VerbContext): Promise<number> {
  const view = await (await api()).call('GET /v1/keys')
  await printOne(output, view, keysText(view), view.current)
  return EXIT.done
}

/** Lets the gateway sign with a new key from now on. */
export async function rotateKey({ api, output }: VerbContext): Promise<number> {
  const view = await (await api()).call('POST /v1/keys/rotate')
  await printOne(
    output,
    view,
    `Recordings are signed with a new key.\n${keysText(view)}`,
    view.current,
  )
  return EXIT.done
}

function keysText({ current, first, changes }: KeysView): string {
  const lines = changes.map(
    ({ to, anchor, at }) => `  ${to}  signs from anchor ${anchor} on, since ${at}\n`,
  )
  return `Signing key ${current}
  ${first}  signed first
${lines.join('')}Note them down elsewhere: npx sallyport verify --signed-by ${current}
`
}
