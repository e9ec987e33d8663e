/** The little of oidc-provider that the tests use; it brings no types along. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>)
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: Readonly<Record<string, unknown>>,
    ): Promise<void>
    on(event: string, listener: (...values: readonly unknown[]) => void): this
    readonly Grant: new (fields: Readonly<Record<string, unknown>>) => {
      addOIDCScope(scope: string): void
      save(): Promise<string>
    }
  }
}
