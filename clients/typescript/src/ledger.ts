import { Call, type CallOptions } from "./call.js";
import { LedgerError } from "./errors.js";
import { findCommand, Rpc } from "./rpc.js";
import type {
  GateInput,
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

/** Which ledger, and which command keeps it. */
export interface LedgerOptions {
  /** The file; default: that of the command (`USAGE_LEDGER`, else the user's own) */
  ledger?: string;
  /** The program; default: that of this package, else the first one on the PATH */
  command?: string;
  /** The key that signs checkpoints and proofs */
  key?: string;
  /** Further options of the command, such as `["--tz", "UTC"]` */
  options?: string[];
}

/** A ledger. An error is a `LedgerError` with a remedy. */
export class Ledger implements AsyncDisposable {
  #rpc: Rpc;

  constructor({ ledger, command, key, options = [] }: LedgerOptions = {}) {
    const file = ledger === undefined ? [] : ["--ledger", ledger];
    const signer = key === undefined ? [] : ["--key", key];
    this.#rpc = new Rpc(command ?? findCommand(), [...file, ...options, "rpc", ...signer]);
  }

  /** Ends the process of the command. A later request starts it again. */
  close(): Promise<void> {
    return this.#rpc.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs any operation of docs/programs.md. */
  ask(method: string, params: object = {}): Promise<any> {
    return this.#rpc.ask(method, params);
  }

  /** Records a call. With a `key`, an `id` or a response with an id, a repeated request finds the first record. */
  record(call: RecordInput): Promise<Receipt> {
    return this.ask("record", call);
  }

  /** Records many calls, all or none. */
  records(calls: RecordInput[]): Promise<Tally> {
    return this.ask("records", { records: calls });
  }

  /** Marks that work moves to another provider. No counter changes. */
  switch(provider: string, options: { reason?: string; key?: string } = {}): Promise<Receipt> {
    return this.ask("switch", { provider, ...options });
  }

  /** Decides whether a run may start. A closed gate is an answer with `gated` true. */
  gate(provider?: string, options: Omit<GateInput, "provider"> = {}): Promise<Verdict> {
    return this.ask("gate", { provider, ...options });
  }

  /** Sets tokens aside for a call, for at most `lasts`, such as `10m`. Throws `Gated` if they do not fit. */
  reserve(
    provider: string,
    tokens: number,
    options: {
      lasts?: string | undefined;
      account?: string | undefined;
      model?: string | undefined;
      tier?: TierName | undefined;
      allow_undeclared?: boolean;
      key?: string;
    } = {},
  ): Promise<Reservation> {
    const { lasts, ...rest } = options;
    return this.ask("reserve", { provider, tokens, for: lasts, ...rest });
  }

  /** Ends a reservation with the record of its call. Settling again with the same record changes nothing. */
  settle(reservation: string, call: Omit<RecordInput, "id">): Promise<Receipt> {
    return this.ask("settle", { reservation, ...call });
  }

  /** Ends a reservation without a call. */
  release(reservation: string, reason?: string): Promise<Receipt> {
    return this.ask("release", { reservation, reason });
  }

  /** Detects an exhausted quota in the output of a run or in a provider's error, and records it. */
  scan(output: ScanInput): Promise<Scan> {
    return this.ask("scan", output);
  }

  /** Sums requests, tokens and cost: `ledger.report({ by: ["day", "model"], since: "2026-06-01" })`. */
  report(query: ReportInput = {}): Promise<Report> {
    return this.ask("report", query);
  }

  /** The active provider, and the quota windows of each provider account. */
  status(options: { as_of?: string } = {}): Promise<Status> {
    return this.ask("status", options);
  }

  /**
   * A call of a model: asks the gate, runs the function, and records what it gives to `call.record`.
   *
   * `Gated` is thrown if the gate is closed. An error of the function releases the reservation, is recorded if it is a
   * refusal of the provider, and is thrown.
   */
  async call<T>(provider: string, options: CallOptions, run: (call: Call) => T | PromiseLike<T>): Promise<T> {
    const call = new Call(this, provider, options);
    await call.begin();
    let result: T;
    try {
      result = await run(call);
    } catch (error) {
      await call.end(error).catch((failed: unknown) => {
        // The error of the call is the one to see.
        if (!(failed instanceof LedgerError)) throw failed;
        process.emitWarning(`usage-ledger: ${failed.message}`);
      });
      throw error;
    }
    await call.end();
    return result;
  }
}
