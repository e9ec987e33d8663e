import { linesOf, titleOf } from '../notice-text.ts'
import type { NoticeKind } from '../channel.ts'
import type { ToldApproval } from '../told-approval.ts'

/** What a message shows: requests as they are at the moment. */
export interface MessageContent {
  readonly kind: NoticeKind
  readonly count: number
  readonly approvals: readonly ToldApproval[]
}

/** Slack takes 50 blocks in a message; each request takes two. */
const shownMax = 20
const sectionCharsMax = 3000

/**
 * The fields of a message. All that a caller wrote stands in `plain_text`, in which Slack interprets nothing; the text beside
 * the blocks, which notifications show, is of the gateway's own words.
 */
export function messageOf(content: MessageContent, hasButtons: boolean): object {
  const shown = content.approvals.slice(0, shownMax)
  const more = content.count - shown.length
  const title = titleOf(content)
  return {
    text: title.replaceAll(/[<>&*_~`]/gu, ' '),
    parse: 'none',
    link_names: false,
    mrkdwn: false,
    unfurl_links: false,
    unfurl_media: false,
    blocks: [
      { type: 'header', text: plain(title.slice(0, 150)) },
      ...shown.flatMap((each) => blocksOf(each, hasButtons)),
      ...(more > 0 ? [section(`and ${more} more`)] : []),
    ],
  }
}

function blocksOf(told: ToldApproval, hasButtons: boolean): object[] {
  const text = section(linesOf(told).join('\n'))
  if (told.state !== 'pending') return [text]
  const buttons = [
    ...(told.url === undefined ? [] : [{ ...button('review', 'Review', told), url: told.url }]),
    ...(hasButtons && told.isForChat
      ? [
          { ...button('approve', 'Approve once', told), style: 'primary' },
          { ...button('deny', 'Deny', told), style: 'danger' },
        ]
      : []),
  ]
  return buttons.length === 0 ? [text] : [text, { type: 'actions', elements: buttons }]
}

function button(action: string, label: string, { id, binding }: ToldApproval): object {
  return { type: 'button', action_id: action, text: plain(label), value: `${id}:${binding}` }
}

function section(text: string): object {
  return { type: 'section', text: plain(text.slice(0, sectionCharsMax)) }
}

function plain(text: string): object {
  return { type: 'plain_text', text: text === '' ? ' ' : text, emoji: false }
}
