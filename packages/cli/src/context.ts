import type { Command } from 'commander'
import { dataDirOf } from './data-dir.ts'
import type { GatewayApi } from './gateway-api.ts'
import { type Output, outputForm } from './output.ts'

/** What every verb gets. */
export interface VerbContext {
  readonly dataDir: string
  readonly output: Output
  /** The gateway, as its owner. Refused below an agent: it must not climb to a person's login. */
  readonly api: () => Promise<GatewayApi>
}

interface CommonFlags {
  readonly data?: string
  readonly output?: string
  readonly json?: boolean
}

/** Reads the flags that all verbs share. `ownForm` is one of the verb's own, which the verb itself prints. */
export function contextOf(command: Command, ownForm?: string): VerbContext {
  const given = command.optsWithGlobals<CommonFlags>()
  const flags =
    given.output === ownForm && ownForm !== undefined ? { ...given, output: 'json' } : given
  const dataDir = dataDirOf(flags.data)
  const api = async (): Promise<GatewayApi> =>
    await (await import('./owner-api.ts')).ownerApi(dataDir)
  return { dataDir, output: outputOf(flags), api }
}

const columnsDefault = 100

/** Standard output and error of this process. */
export function outputOf(flags: CommonFlags): Output {
  return {
    form: outputForm(flags),
    isTerminal: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? columnsDefault,
    data: (text) => void process.stdout.write(text),
    say: (text) => void process.stderr.write(text),
  }
}
