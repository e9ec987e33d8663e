import { stat } from 'node:fs/promises'
import { tellVerification } from '@sallyport/core'
import { verifyPlace } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'

const tellEvery = 500

export interface VerifyFlags {
  readonly key?: string
  readonly signedBy: readonly string[]
  readonly anchors: readonly string[]
}

/** Verifies a data folder, one session of it, a store or an export. */
export async function verify(
  { dataDir, output }: VerbContext,
  place: string | undefined,
  flags: VerifyFlags,
): Promise<number> {
  const isBucket = place?.startsWith('s3://') === true
  const isPath =
    place !== undefined && !isBucket && (await stat(place).catch(() => undefined)) !== undefined
  const isSession = place !== undefined && !isPath && !isBucket && /^[sl]_[0-9a-z]*$/iu.test(place)
  let parts = 0
  const result = await verifyPlace({
    path: place === undefined || isSession ? dataDir : place,
    dataDir,
    ...(isSession ? { idPrefix: place.toLowerCase() } : {}),
    signedBy: flags.signedBy,
    anchors: flags.anchors,
    ...(flags.key === undefined ? {} : { keyFile: flags.key }),
    onPart: () => {
      parts += 1
      if (output.isTerminal && parts % tellEvery === 0) output.say(`${parts} recordings …\n`)
    },
  })
  const text = tellVerification(result).map((line) => `${printable(line)}\n`)
  if (isSession && result.sessions + result.ledgers === 0)
    text.push(`  No recording begins with ${place}.\n`)
  await printOne(output, result, text.join(''), result.findings.length === 0 ? 'whole' : 'changed')
  if (result.findings.length > 0) return EXIT.integrity
  return isSession && result.sessions + result.ledgers === 0 ? EXIT.usage : EXIT.done
}
