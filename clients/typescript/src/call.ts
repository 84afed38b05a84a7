import { Gated, LedgerError, problem } from "./errors.js";
import type { Ledger } from "./ledger.js";
import { type Body, bodyOf, Chunks, isStream, refusalOf } from "./response.js";
import type { FormatName, NeedName, Receipt, Reservation, TierName, Verdict } from "./types.js";

/** What a call is. */
export interface CallOptions {
  model?: string | undefined;
  account?: string | undefined;
  project?: string | undefined;
  conversation?: string | undefined;
  agent?: string | undefined;
  labels?: Record<string, string> | undefined;
  /** Tokens to reserve until the response is recorded */
  tokens?: number | undefined;
  /** Maximum duration of the reservation, such as `10m` */
  lasts?: string | undefined;
  tier?: TierName | undefined;
  need?: NeedName | undefined;
  /** The API, if the response does not show it */
  format?: FormatName | undefined;
  /** Begin when the gate opens, instead of throwing `Gated` */
  wait?: boolean | undefined;
}

/** Milliseconds between two questions to the gate, at most. */
const POLL = 60_000;
/** Errors after which the same request may succeed. */
const PASSING = ["busy", "unavailable"];

/** One call of a model, from the gate to the record. */
export class Call {
  /** The records of this call. */
  readonly receipts: Receipt[] = [];
  /** The decision of the gate. */
  verdict!: Verdict;
  #reservation: Reservation | undefined;
  #streams = new Set<Chunks>();

  constructor(
    readonly ledger: Ledger,
    readonly provider: string,
    readonly options: CallOptions,
  ) {}

  /** Records what a response of an SDK reports, and resolves to the response. A stream is recorded when it ends. */
  async record<T>(response: T | PromiseLike<T>): Promise<T> {
    const one = await response;
    if (isStream(one)) return this.#observe(one) as T;
    await this.#save(bodyOf(one, this.options.format, this.provider), one);
    return one;
  }

  /** Asks the gate, and reserves tokens. */
  async begin(): Promise<void> {
    for (;;) {
      try {
        return await this.#tryToBegin();
      } catch (error) {
        if (!(error instanceof Gated) || !this.options.wait) throw error;
        const left = error.resumesAt === undefined ? POLL : Date.parse(error.resumesAt) - Date.now();
        await new Promise((resolve) => setTimeout(resolve, Math.min(Math.max(left, 1000), POLL)));
      }
    }
  }

  /** Records what open streams reported and a refusal of the provider, and releases an unused reservation. */
  async end(error?: unknown): Promise<void> {
    for (const chunks of [...this.#streams]) await this.#finish(chunks);
    const refused = refusalOf(error);
    const { account, model } = this.options;
    if (refused) await this.ledger.scan({ provider: this.provider, account, model, ...refused });
    if (this.#reservation) {
      const reason = error instanceof Error ? error.name : "the call reported no tokens";
      await this.ledger.release(this.#reservation.id, reason);
      this.#reservation = undefined;
    }
  }

  async #tryToBegin(): Promise<void> {
    const { account, model, project, tier, need, tokens, lasts } = this.options;
    this.verdict = await this.ledger.gate(this.provider, { account, model, project, tier, need });
    if (this.verdict.gated) {
      const why = problem("wait", this.verdict.reason, "wait until `resumes_at`, or use another provider");
      if (this.verdict.resumes_at !== null) why.resumes_at = this.verdict.resumes_at;
      throw new Gated(why, undefined, this.verdict);
    }
    if (tokens !== undefined) {
      this.#reservation = await this.ledger.reserve(this.provider, tokens, { lasts, account, model, tier });
    }
  }

  async #save(body: Body, response?: unknown): Promise<void> {
    const { model, account, project, conversation, agent, labels } = this.options;
    // The response names the model that answered.
    const own = typeof body.response === "string" || "model" in body.response ? {} : { model };
    const call = { ...own, account, project, conversation, agent, labels, ...body, provider: this.provider };
    for (let attempt = 1; ; attempt++) {
      try {
        const receipt = this.#reservation
          ? await this.ledger.settle(this.#reservation.id, call)
          : await this.ledger.record(call);
        this.#reservation = undefined;
        this.receipts.push(receipt);
        for (const warning of receipt.warnings ?? []) process.emitWarning(`usage-ledger: ${warning}`);
        return;
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error;
        if (attempt === 1 && PASSING.includes(error.kind)) continue;
        error.response = response;
        throw error;
      }
    }
  }

  async #finish(chunks: Chunks): Promise<void> {
    if (!this.#streams.delete(chunks)) return;
    if (chunks.reportsUsage) return this.#save(chunks.body(this.options.format, this.provider));
    process.emitWarning(
      "usage-ledger: the stream reported no tokens, so nothing is recorded: for chat completions of OpenAI, send " +
        "stream_options: { include_usage: true }",
    );
  }

  /** Returns the same stream, whose tokens are recorded when it ends or is left early. */
  #observe(stream: AsyncIterable<unknown>): AsyncIterable<unknown> {
    const chunks = new Chunks();
    this.#streams.add(chunks);
    const finish = () => this.#finish(chunks);
    async function* read() {
      try {
        for await (const chunk of stream) {
          chunks.add(chunk);
          yield chunk;
        }
      } finally {
        await finish();
      }
    }
    return new Proxy(stream, {
      get(target, name) {
        if (name === Symbol.asyncIterator) return read;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}
