import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'

/** What the kernel takes for the path of a Unix socket, without the closing zero. */
const socketPathBytesMax = 107

/** Folder of the broker's sockets: one per user and host. */
export function runFolderOf(env: NodeJS.ProcessEnv = process.env): string {
  const runtime = env['XDG_RUNTIME_DIR']
  return runtime === undefined || runtime === ''
    ? join(homedir(), '.sallyport', 'run')
    : join(runtime, 'sallyport')
}

export function brokerSocketOf(folder: string): string {
  return join(folder, 'broker.sock')
}

/** Makes a folder that only its owner can enter, and refuses one that belongs to somebody else. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const found = lstatSync(path)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new SallyportError('SP_CONFIG_INVALID', `${path} is not a folder of this user`)
  }
  if ((found.mode & 0o077) !== 0) chmodSync(path, 0o700)
}

/** The path, where the kernel takes it; what is longer would be cut without a word by some programs. */
export function socketPath(...parts: readonly string[]): string {
  const path = join(...parts)
  const bytes = Buffer.byteLength(path)
  if (bytes <= socketPathBytesMax) return path
  throw new SallyportError(
    'SP_CONFIG_INVALID',
    `the path of a socket would have ${bytes} bytes, and ${socketPathBytesMax} is what the system takes: ${path}. Set XDG_RUNTIME_DIR to a shorter folder`,
  )
}
