import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { LogFlags } from './verbs/channels.ts'

/** How requests for approval reach people and systems, as the files of the folder `channels` say. */
export function addChannelVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const group = verb(
    program,
    'channels',
    'How requests for approval are told: list channels, test one, read the log of what was sent, see and end links of chats.',
    'sallyport channels list',
  )
  verb(group, 'list', 'List channels, and what waits for each.', 'sallyport channels list').action(
    async (_flags: unknown, command: Command) => {
      finish(await (await import('./verbs/channels.ts')).listChannels(contextOf(command)))
    },
  )
  verb(
    group,
    'test <name>',
    'Send a message that says that it is a test.',
    'sallyport channels test dba-oncall',
  ).action(async (name: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/channels.ts')).testChannel(contextOf(command), name))
  })
  verb(
    group,
    'log',
    'What was sent and what waits, newest first, with each problem.',
    'sallyport channels log --channel dba-oncall',
  )
    .option('--channel <name>', 'of this channel alone')
    .option('--limit <n>', 'messages to show, 500 at most', '50')
    .action(async (flags: LogFlags, command: Command) => {
      finish(await (await import('./verbs/channels.ts')).showChannelLog(contextOf(command), flags))
    })
  verb(
    group,
    'links',
    'Which accounts of chats are linked to whom.',
    'sallyport channels links',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/channels.ts')).listLinks(contextOf(command)))
  })
  verb(
    group,
    'unlink <account>',
    'End the link of an account: it speaks for nobody then.',
    'sallyport channels unlink T024BE7LD/U023BECGF',
  ).action(async (account: string, _flags: unknown, command: Command) => {
    finish(await (await import('./verbs/channels.ts')).unlinkAccount(contextOf(command), account))
  })
}
