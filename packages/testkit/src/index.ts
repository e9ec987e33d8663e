export { FaultProxy, type Fault } from './fault-proxy.ts'
export { postgresBinaries, postgresClient, serverAccount, skipReason } from './postgres-binaries.ts'
export { bucketSkipReason, startRadosGateway, type RadosGateway } from './rados-gateway.ts'
export { listenScripted, ScriptedPeer, type ScriptedListener } from './scripted-peer.ts'
export {
  startPostgres,
  type AuthMethod,
  type TestPostgres,
  type TestPostgresOptions,
} from './test-postgres.ts'
export { until } from './until.ts'
