import { keyOfDemands } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'

/**
 * A text that requests share which may stand in one bundle: of one tree, on one connection and database, of one shape, asked for by
 * the same rules. Undefined where a rule does not offer bundles, or the shape could not be told.
 */
export function bundleKeyOf({
  demands,
  shape,
  path,
  connection,
  database,
}: HoldAsked): string | undefined {
  if (shape === undefined || !demands.every(({ demand }) => demand.offer.includes('bundle')))
    return undefined
  return JSON.stringify([path[0], connection, database, shape, keyOfDemands(demands)])
}
