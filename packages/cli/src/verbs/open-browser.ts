import { spawn } from 'node:child_process'

type Environment = Readonly<Record<string, string | undefined>>

/** Whether a browser that is opened here would appear in front of the person who typed the command. */
export function hasBrowser(
  environment: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): boolean {
  const isSet = (name: string): boolean => (environment[name] ?? '') !== ''
  // Over SSH the display, if there is one, is that of somebody else's desk.
  if (['SSH_CONNECTION', 'SSH_CLIENT', 'SSH_TTY'].some(isSet)) return false
  return platform === 'darwin' || isSet('DISPLAY') || isSet('WAYLAND_DISPLAY')
}

/** A machine without a browser is nothing to complain of: the address is printed. */
export function openBrowser(address: string): void {
  if (!/^https?:/.test(address)) return
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const child = spawn(opener, [address], { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}
