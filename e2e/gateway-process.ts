import { startGateway } from '@sallyport/gateway'

/** The one message to the parent. */
export interface GatewayProcessReady {
  readonly api: number
  readonly postgres: number
  readonly workers: readonly number[]
}

/** A gateway in a process of its own, on the data folder that it is given, for tests that kill it. It ends with its parent. */
const gateway = await startGateway({
  dataDir: process.argv[2] ?? '',
  ports: { api: 0, postgres: 0 },
  host: '127.0.0.1',
  workers: 1,
  durability: 'process',
  demo: false,
  plainText: true,
  onEvent: () => undefined,
})
const { workers } = await gateway.status()
const ready: GatewayProcessReady = {
  ...gateway.ports,
  workers: workers.flatMap(({ pid }) => pid ?? []),
}
process.send?.(ready)
process.once('disconnect', () => {
  void gateway.stop(0).finally(() => process.exit())
})
