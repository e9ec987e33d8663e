import { ERRORS, type ErrorCode, type Refusal } from '@sallyport/core'
import type { Spent } from '../../agents/purse.ts'

/** A command that no budget is left for. */
export function budgetRefusal({ kind, cap, agent }: Spent): Refusal {
  const words = `Budget used up: ${kind} ${cap}/${cap} for the subtree of ${agent}. Nothing was sent to the target.`
  return refusal('SP_BUDGET_SPENT', words)
}

/** A result that is cut because the rows or bytes of a budget are used up. */
export function cutByBudget({ kind, cap, agent }: Spent, rows: number, isRead: boolean): Refusal {
  const words = `${rows} rows sent; the result is cut here: ${kind} ${cap}/${cap} for the subtree of ${agent}.`
  return refusal('SP_BUDGET_ROWS', words + mayStand(isRead))
}

/** A result that is cut because the grant lets one command return no more. */
export function cutByGrant(rowsMax: number, isRead: boolean): Refusal {
  const words = `${rowsMax} rows sent; the result is cut here: the grant has rows<=${rowsMax}.`
  return refusal('SP_BUDGET_ROWS', words + mayStand(isRead))
}

/** The rows of a write come back when it is done: cutting them does not undo it. */
function mayStand(isRead: boolean): string {
  return isRead ? '' : ' What the statement changed may stand: look before you repeat it.'
}

function refusal(code: ErrorCode, detail: string): Refusal {
  return { code, message: `Sallyport: ${ERRORS[code].say}`, detail, hint: `(${code})` }
}
