import { parentPort } from 'node:worker_threads'
import { draftText } from './draft-text.ts'
import { shortTrees } from './short-trees.ts'
import { SqlParser } from './sql-parser.ts'

/** The thread that reads large texts. One text at a time; the other side ends it when it takes too long. */
async function serve(): Promise<void> {
  const parser = await SqlParser.create()
  parentPort?.on('message', (text: string) => {
    parentPort?.postMessage(draftText(parser, text, 0, shortTrees))
    // A parser that broke is not used again; the next text finds a fresh one.
    void parser.settled()
  })
  parentPort?.postMessage('ready')
}

await serve()
