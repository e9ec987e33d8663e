import type { Principal } from '@sallyport/core'
import type { OidcProvider } from '../config/identity-config.ts'
import { humanId } from '../entitlements.ts'

/** Claims of an ID token, filled up from the userinfo endpoint. */
export type IdentityClaims = Readonly<Record<string, unknown>> & { readonly sub: string }

/** Why a person may not log in; the person reads it. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused'
}

/** More groups than any directory puts into a token. */
const groupsMax = 2000
const textLengthMax = 256

/** Reads who a person is, and refuses those whom the provider's object does not let in. */
export function readIdentity(provider: OidcProvider, claims: IdentityClaims): Principal {
  const groups = readGroups(provider, claims)
  const name = readUser(provider, claims)
  const { allowedGroups, allowedDomains } = provider
  if (allowedGroups.length > 0 && !allowedGroups.some((group) => groups?.includes(group))) {
    const why =
      groups === undefined
        ? `${provider.name} sends no claim "${provider.groupsClaim}", and only members of some groups may log in here. Let the provider send it, or name allowedDomains instead`
        : 'none of your groups may log in here'
    throw new LoginRefused(why)
  }
  if (
    allowedDomains.length > 0 &&
    !domainsOf(claims).some((domain) => allowedDomains.includes(domain))
  ) {
    throw new LoginRefused('your e-mail domain may not log in here')
  }
  // A claim that is absent means no groups: older ones are never kept.
  return { id: humanId(provider.issuer, claims.sub), kind: 'human', name, groups: groups ?? [] }
}

function readGroups(provider: OidcProvider, claims: IdentityClaims): string[] | undefined {
  const value = Object.hasOwn(claims, provider.groupsClaim)
    ? claims[provider.groupsClaim]
    : undefined
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) {
    const groups = value.filter(
      (group): group is string => typeof group === 'string' && group.length <= textLengthMax,
    )
    if (groups.length <= groupsMax) return groups
    throw new LoginRefused(
      `more than ${groupsMax} groups: let the provider send only those that matter`,
    )
  }
  const elsewhere = claims['_claim_names']
  // OpenID Connect Core 1.0, section 5.6.2: Entra does this above 200 groups.
  if (typeof elsewhere === 'object' && elsewhere !== null && provider.groupsClaim in elsewhere) {
    throw new LoginRefused(
      `${provider.name} left your groups out of the token, because there are too many. An administrator has to let it send only the groups that are assigned to this application, or to use app roles (groupsClaim: roles)`,
    )
  }
  return undefined
}

/** An e-mail address that nobody has verified may be anybody's. */
function readUser(provider: OidcProvider, claims: IdentityClaims): string {
  const { userClaim } = provider
  const value = Object.hasOwn(claims, userClaim) ? claims[userClaim] : undefined
  if (typeof value !== 'string' || value === '' || value.length > textLengthMax) {
    throw new LoginRefused(
      `${provider.name} sends no claim "${userClaim}". Name another one: userClaim`,
    )
  }
  if (userClaim === 'email' && !isVerified(claims)) {
    throw new LoginRefused(
      `${provider.name} does not say that your e-mail address is verified. Name another claim: userClaim`,
    )
  }
  return userClaim === 'email' ? value.toLowerCase() : value
}

function isVerified(claims: IdentityClaims): boolean {
  return claims['email_verified'] === true || claims['email_verified'] === 'true'
}

/** Google names the organisation in `hd`. */
function domainsOf(claims: IdentityClaims): string[] {
  const domains: string[] = []
  const { hd, email } = claims as { readonly hd?: unknown; readonly email?: unknown }
  if (typeof hd === 'string') domains.push(hd.toLowerCase())
  if (typeof email === 'string' && isVerified(claims))
    domains.push(email.slice(email.lastIndexOf('@') + 1).toLowerCase())
  return domains
}
