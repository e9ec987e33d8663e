import type { LoginGate } from './ports.ts'

/** Of a provider that takes nothing back. */
export const openGate: LoginGate = {
  refusal: async () => undefined,
  seen: async () => {},
  askedAgain: async () => {},
  remember: async () => {},
  groupsOf: async (_person, stated) => stated,
}
