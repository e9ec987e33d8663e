/**
 * Names of attributes. Those of databases are stable conventions of OpenTelemetry; those of agents (`gen_ai`) are still in
 * development, so they stand here and nowhere else. Ours begin with `sallyport`.
 */
export const names = {
  agentOperation: 'gen_ai.operation.name',
  agentId: 'gen_ai.agent.id',
  agentName: 'gen_ai.agent.name',
  system: 'db.system.name',
  database: 'db.namespace',
  operation: 'db.operation.name',
  collection: 'db.collection.name',
  text: 'db.query.text',
  rows: 'db.response.returned_rows',
  statusCode: 'db.response.status_code',
  error: 'error.type',
  connection: 'sallyport.connection',
  session: 'sallyport.session',
  command: 'sallyport.command',
  level: 'sallyport.level',
  verdict: 'sallyport.verdict',
  rules: 'sallyport.rule',
  class: 'sallyport.class',
  masked: 'sallyport.masked',
  bytes: 'sallyport.bytes',
  commands: 'sallyport.commands',
  blocked: 'sallyport.blocked',
  end: 'sallyport.end',
} as const
