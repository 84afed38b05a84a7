import type { Problem, Verdict } from "./types.js";

/** An error of the ledger. `kind` is a name of the list in docs/interfaces.md, such as `conflict`. */
export class LedgerError extends Error {
  override name = "LedgerError";
  readonly kind: string;
  readonly remedy: string;
  /** The response of the model whose tokens could not be recorded, if there is one. */
  response?: unknown;

  constructor(
    readonly problem: Problem,
    readonly code?: number,
  ) {
    super(`${problem.detail} (${problem.remedy})`);
    this.kind = problem.type.slice(problem.type.lastIndexOf(":") + 1);
    this.remedy = problem.remedy;
  }
}

/** The call must wait: the gate is closed, or the reservation does not fit. */
export class Gated extends LedgerError {
  override name = "Gated";
  /** When a retry may succeed, in RFC 3339, if that is known. */
  readonly resumesAt: string | undefined;

  /** `verdict` is the decision of the gate; it is absent if a reservation was refused. */
  constructor(
    problem: Problem,
    code?: number,
    readonly verdict?: Verdict,
  ) {
    super(problem, code);
    this.resumesAt = problem.resumes_at;
  }
}

/** A problem that this package finds itself. */
export function problem(kind: string, detail: string, remedy: string): Problem {
  const status = kind === "wait" ? 429 : 503;
  return { type: `urn:usage-ledger:problem:${kind}`, title: kind, status, detail, remedy };
}

/** The error for a problem that the ledger answers. */
export function errorOf(problem: Problem, code: number): LedgerError {
  return problem.type.endsWith(":wait") ? new Gated(problem, code) : new LedgerError(problem, code);
}
