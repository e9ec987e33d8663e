import type { IdentityConfig } from '../births/config/identity-config.ts'
import type { IssuerKeys } from '../births/workload/issuer-keys.ts'
import type { Store } from '../ports/store.ts'
import type { SignalEvent } from './signal.ts'
import type { SignalInbox } from './signal-inbox.ts'
import type { SignalRates } from './signal-rates.ts'

/** What every way by which signals come in stands on. */
export interface SignalParts {
  readonly store: Store
  readonly config: () => IdentityConfig
  /** The public URL, without a slash at its end. */
  readonly gatewayUrl: () => string
  readonly inbox: SignalInbox
  readonly issuerKeys: IssuerKeys
  readonly rates: SignalRates
  readonly onEvent: (event: SignalEvent) => void
  readonly onFault: (error: unknown) => void
  readonly now: () => number
}
