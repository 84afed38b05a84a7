/**
 * A ledger of LLM token usage, kept by the command `usage-ledger`.
 *
 * The gate is asked before a call. The tokens that the response reports are recorded. A refusal of the provider is
 * recorded, too, and closes the gate until the quota resets.
 */
export { type CallOptions, Call } from "./call.js";
export { Gated, LedgerError } from "./errors.js";
export { Ledger, type LedgerOptions } from "./ledger.js";
export { findCommand } from "./rpc.js";
export type {
  FormatName,
  GateInput,
  NeedName,
  Problem,
  Receipt,
  RecordInput,
  Report,
  ReportInput,
  Reservation,
  Scan,
  ScanInput,
  Status,
  Tally,
  TierName,
  Verdict,
} from "./types.js";
