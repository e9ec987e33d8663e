import { SallyportError } from '@sallyport/core'
import { decodeParameterStatus } from '@sallyport/wire'

/** Settings on which our reading of statements depends; another value would make the target read other statements than we judged. */
const pinnedSettings: ReadonlyMap<string, string> = new Map([
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
])

/** Takes the body of a ParameterStatus. A pinned setting that moved ends the session before it matters. */
export function checkSetting(body: Buffer): void {
  const { name, value } = decodeParameterStatus(body)
  const pinned = pinnedSettings.get(name)
  if (pinned !== undefined && pinned !== value) {
    throw new SallyportError('SP_PROTOCOL', `the target reports ${name} = ${value}`, {
      detail: `The setting ${name} must stay ${pinned}.`,
    })
  }
}
