import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { errorOf, LedgerError, problem } from "./errors.js";
import type { Problem } from "./types.js";

/** The command: `USAGE_LEDGER_COMMAND`, else that of this package, else the first one on the PATH. */
export function findCommand(): string {
  const name = process.platform === "win32" ? "usage-ledger.exe" : "usage-ledger";
  const own = fileURLToPath(new URL(`../bin/${name}`, import.meta.url));
  return process.env["USAGE_LEDGER_COMMAND"] ?? (existsSync(own) ? own : name);
}

interface Answer {
  result?: unknown;
  error?: { code: number; data: Problem };
}

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: LedgerError) => void;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** The process `usage-ledger rpc`, which answers each line of JSON by a line, in the same order. */
export class Rpc {
  #child: Child | undefined;
  #waiting: Waiting[] = [];
  #last = 0;
  #ended: Promise<void> = Promise.resolve();

  constructor(
    readonly command: string,
    readonly line: string[],
  ) {}

  /** Runs an operation. Members that are undefined are left out. */
  async ask(method: string, params: object): Promise<unknown> {
    const child = (this.#child ??= this.#start());
    const request = { jsonrpc: "2.0", id: ++this.#last, method, params };
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      // The process keeps the program running only while an answer is expected.
      child.ref();
      child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }

  /** Ends the process when it has answered. The next request starts another one. */
  async close(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.ref();
    child?.stdin.end();
    await this.#ended;
  }

  #start(): Child {
    let child: Child;
    try {
      child = spawn(this.command, this.line, { stdio: ["pipe", "pipe", "pipe"] });
    } catch (error) {
      throw notStarted(error);
    }
    const waiting: Waiting[] = (this.#waiting = []);
    let rest = "";
    let printed = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) answer(waiting.shift(), JSON.parse(line) as Answer);
      if (waiting.length === 0) this.#release(child);
    });
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (text: string) => {
      printed = (printed + text).slice(-10_000);
    });
    // A process that has ended reports itself by `close`.
    child.stdin.on("error", () => {});
    this.#ended = new Promise((resolve) => {
      const end = (why: () => LedgerError) => {
        if (this.#child === child) this.#child = undefined;
        for (const one of waiting.splice(0)) one.reject(why());
        resolve();
      };
      child.on("error", (error) => end(() => notStarted(error)));
      child.on("close", () => {
        const detail = `usage-ledger rpc ended: ${printed.trim() || "it printed no reason"}`;
        end(() => new LedgerError(problem("unavailable", detail, "correct the cause, and repeat the call")));
      });
    });
    return child;
  }

  #release(child: Child): void {
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as { unref?: () => void }).unref?.();
  }
}

function notStarted(error: unknown): LedgerError {
  const detail = `usage-ledger cannot be started: ${error instanceof Error ? error.message : String(error)}`;
  return new LedgerError(problem("unavailable", detail, "install it, or set USAGE_LEDGER_COMMAND"));
}

function answer(waiting: Waiting | undefined, answer: Answer): void {
  if (answer.error) waiting?.reject(errorOf(answer.error.data, answer.error.code));
  else waiting?.resolve(answer.result);
}
