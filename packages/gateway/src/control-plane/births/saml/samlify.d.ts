/** The little of samlify that the tests use. */
interface Entity {
  readonly entityMeta: {
    getEntityID(): string
    getAssertionConsumerService(binding: string): unknown
  }
  parseLoginRequest(
    sp: Entity,
    binding: 'redirect',
    request: { readonly query: Readonly<Record<string, string>> },
  ): Promise<{ readonly extract: unknown }>
}

export function setSchemaValidator(validator: { validate(xml: string): Promise<unknown> }): void
export function ServiceProvider(settings: { readonly metadata: string }): Entity
export function IdentityProvider(settings: Readonly<Record<string, unknown>>): Entity
export const SamlLib: {
  constructSAMLSignature(options: Readonly<Record<string, unknown>>): unknown
}
