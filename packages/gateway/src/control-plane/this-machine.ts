/** True for an address or a name that leads to this machine alone. */
export function isThisMachine(name: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/iu.test(name)
}

/**
 * Any page in a browser may let a name of its own lead to this machine, and then read what is served here as if it were
 * its own. What only this machine reaches is served by this machine's names, and by the one that it has in public.
 */
export function isNameOfHere(header: string | undefined, publicUrl: string | undefined): boolean {
  const name = header?.replace(/:\d*$/u, '').toLowerCase() ?? ''
  return isThisMachine(name) || (publicUrl !== undefined && name === new URL(publicUrl).hostname)
}
