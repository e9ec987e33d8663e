import type { AgentTables } from './agent-tables.ts'
import type { ApprovalTables } from './approval-tables.ts'
import type { ChannelTables } from './channel-tables.ts'
import type { ConfigurationTables } from './configuration-tables.ts'
import type { LoginTables } from './login-tables.ts'
import type { RecordingTables } from './recording-tables.ts'

/** The tables of the control plane, as the migrations make them. */
export interface Tables
  extends
    AgentTables,
    LoginTables,
    ApprovalTables,
    ChannelTables,
    RecordingTables,
    ConfigurationTables {}
