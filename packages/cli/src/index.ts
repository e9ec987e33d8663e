import { CommanderError } from 'commander'
import { EXIT, errorObject, errorText, exitCodeOf } from './exit-codes.ts'
import { buildProgram } from './program.ts'

/** Runs the command line and gives the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  let code: number = EXIT.done
  const program = buildProgram((result) => {
    code = result
  })
  try {
    await program.parseAsync([...words], { from: 'user' })
    return code
  } catch (error) {
    // Its own words, or the help that was asked for, are printed already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
    process.stderr.write(failureText(error, words))
    return exitCodeOf(error)
  }
}

function failureText(error: unknown, words: readonly string[]): string {
  const wantsObject = words.includes('--json') || process.stderr.isTTY !== true
  const stack =
    process.env['SALLYPORT_DEBUG'] === '1' && error instanceof Error ? `${error.stack}\n` : ''
  return stack + (wantsObject ? `${JSON.stringify(errorObject(error))}\n` : errorText(error))
}
