import { expressionRules } from './expression-rules.ts'

/** Rules about clauses and statements; those about expressions bear the names of their nodes. */
const others = `
CaseExpr.condition body confined clause.aggregateFilter clause.aggregateOrder clause.distinct clause.group clause.having clause.join
clause.limit clause.order clause.rows clause.using clause.where clause.window constraint door explain generated inheritance
merge recursion returning target trigger union view write
`

/** All rules, by the names under which a test can switch them off. */
export const lineageRules: readonly string[] = [
  ...Object.keys(expressionRules),
  ...others.trim().split(/\s+/),
]
