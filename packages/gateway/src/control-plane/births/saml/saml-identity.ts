import type { Principal } from '@sallyport/core'
import type { SamlProvider } from '../config/identity-config.ts'
import { samlId } from '../entitlements.ts'
import { LoginRefused } from '../oidc/identity.ts'
import type { CheckedAssertion } from './check-assertion.ts'

/** Reads who a person is, and refuses those whom the provider's object does not let in. */
export function samlIdentity(provider: SamlProvider, assertion: CheckedAssertion): Principal {
  const { allowedGroups, allowedDomains, groupsClaim } = provider
  const name = nameOf(provider, assertion)
  // An attribute that is absent means no groups.
  const groups = assertion.attributes.get(groupsClaim) ?? []
  if (allowedGroups.length > 0 && !allowedGroups.some((group) => groups.includes(group)))
    throw new LoginRefused('none of your groups may log in here')
  const domain = name.includes('@') ? name.slice(name.lastIndexOf('@') + 1) : ''
  if (allowedDomains.length > 0 && !allowedDomains.includes(domain))
    throw new LoginRefused('your e-mail domain may not log in here')
  return { id: samlId(provider.issuer, assertion.nameId), kind: 'human', name, groups }
}

/** What `user:` of a grant names: an attribute with one value, or the name by which the provider knows the person. */
function nameOf(
  { name: provider, userClaim }: SamlProvider,
  { nameId, attributes }: CheckedAssertion,
): string {
  const [value, second] = userClaim === 'nameId' ? [nameId] : (attributes.get(userClaim) ?? [])
  if (value === undefined || second !== undefined)
    throw new LoginRefused(
      `${provider} does not send one value of "${userClaim}". Name another attribute: userAttribute`,
    )
  return value.includes('@') ? value.toLowerCase() : value
}
