// Starts the command and a browser, and fills a ledger with hostile names.
import { execFileSync, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.env.WEB_TOOLS, "package.json"));
export const { chromium } = require("playwright-core");
export const axeSource = require("axe-core").source;

export const NOW = "2026-11-27T15:40:00Z";
export const HOSTILE = ["/home/me/\u202etxt.exe", "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "\u001b[31mred", "javascript:alert(1)"];

export class Ledger {
  constructor(command, directory) {
    mkdirSync(directory, { recursive: true });
    this.command = command;
    this.directory = directory;
    this.environment = { ...process.env, HOME: directory, USAGE_LEDGER: join(directory, "usage.db") };
  }

  run(now, args, input = undefined) {
    return execFileSync(this.command, ["--now", now, ...args], { env: this.environment, input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
  }

  json = (args) => JSON.parse(this.run(NOW, ["--json", ...args]));

  /// 40 days of calls, limits, switches, a pause, readings, and an import that skips lines.
  fill() {
    this.run("2026-10-15T00:00:00Z", ["limit", "set", "anthropic", "--session", "60000", "--weekly", "900000", "--usd-day", "20"]);
    this.run("2026-10-15T00:00:01Z", ["switch", "anthropic", "--reason", "start"]);
    this.run("2026-11-20T11:00:00Z", ["switch", "ollama", "--reason", HOSTILE[1]]);
    this.run("2026-11-20T13:00:00Z", ["switch", "anthropic", "--reason", "the window was reset"]);
    this.run("2026-11-26T10:30:00Z", ["pause"]);
    this.run("2026-11-26T11:00:00Z", ["resume"]);
    const models = [["anthropic", "claude-opus-4-5", "claude-code"], ["anthropic", "claude-sonnet-4-5", "claude-code"], ["openai", "gpt-5", "codex"], ["ollama", "qwen3-coder", "opencode"]];
    const projects = ["/home/me/src/acme", "/home/me/src/ledger", "/home/me/work/infra", ...HOSTILE];
    const calls = [];
    for (let at = 0; at < 1200; at += 1) {
      const [provider, model, agent] = models[(at * 7) % 11 % models.length];
      const time = new Date(Date.parse(NOW) - (1200 - at) * 48 * 60_000).toISOString();
      calls.push(JSON.stringify({ provider, model, agent, project: projects[(at * 5) % 13 % projects.length], conversation: `c${at % 40}`, input: 200 + (at * 37) % 3000, output: 100 + (at * 53) % 1500, cache_read: (at * 911) % 60000, key: `k${at}`, occurred_at: time }));
    }
    this.run(NOW, ["record", "--jsonl", "-"], calls.join("\n"));
    const statement = join(this.directory, "statement.csv");
    writeFileSync(statement, "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_read,usage_output_tokens\n" + [20, 21, 22].map((day) => `2026-11-${day},claude-opus-4-5,"${HOSTILE[1]}",90000,1500000,40000\n`).join(""));
    try { this.run(NOW, ["reconcile", statement]); } catch { /* exit code 1: they differ */ }
    const logs = join(this.directory, ".claude/projects/acme");
    mkdirSync(logs, { recursive: true });
    writeFileSync(join(logs, "s.jsonl"), '{"type":"assistant","message":{"id":"m","model":"claude-opus-4-5","usage":{"input_tokens":"many"}}}\nnot json "usage"\n');
    try { this.run(NOW, ["import", "claude-code"]); } catch { /* exit code 1: lines were skipped */ }
    for (const [minute, used] of [[0, 30], [8, 36], [16, 42], [24, 48]]) {
      const reading = JSON.stringify({ rate_limits: { five_hour: { used_percentage: used, resets_at: Date.parse("2026-11-27T18:30:00Z") / 1000 }, seven_day: { used_percentage: 60, resets_at: Date.parse("2026-11-30T00:00:00Z") / 1000 } } });
      this.run(new Date(Date.parse(NOW) - (30 - minute) * 60_000).toISOString(), ["quota", "observe", "--format", "claude-statusline", "-"], reading);
    }
    this.key = join(this.directory, "ledger.key");
    this.run(NOW, ["key", "generate", this.key]);
    return this;
  }

  /// Machines that push to a running server. The push of the last one, a clone of the first, is refused.
  fleet(at) {
    const machines = [["laptop", "ann", "search"], ["desktop", HOSTILE[1], "ads"]].map(([machine, person, team], index) => {
      const other = new Ledger(this.command, join(this.directory, machine));
      other.environment.USAGE_LEDGER_PUSH_TOKEN = this.run(NOW, ["fleet", "enrol", machine, "--person", person, "--team", team]).trim();
      const call = (at) => JSON.stringify({ provider: "anthropic", account: "work", model: "claude-opus-4-5", project: HOSTILE[0], input: 1000 * (index + 1), output: at, key: `f${index}-${at}`, occurred_at: new Date(Date.parse(NOW) - at * 3600_000).toISOString() });
      other.run(NOW, ["record", "--jsonl", "-"], Array.from({ length: 40 }, (_, at) => call(at)).join("\n"));
      other.run(NOW, ["push", at]);
      return other;
    });
    this.run(NOW, ["fleet", "enrol", "new-machine"]);
    const clone = new Ledger(this.command, join(this.directory, "clone"));
    clone.environment.USAGE_LEDGER_PUSH_TOKEN = machines[0].environment.USAGE_LEDGER_PUSH_TOKEN;
    for (const end of ["", "-wal", "-push"]) {
      const file = (one) => join(one.directory, `usage.db${end}`);
      if (existsSync(file(machines[0]))) copyFileSync(file(machines[0]), file(clone));
    }
    for (const [one, input] of [[machines[0], "5"], [clone, "6"]]) {
      one.run(NOW, ["record", "--provider", "anthropic", "--account", "work", "--input", input]);
      try { one.run(NOW, ["push", at]); } catch (error) { if (one !== clone || error.status !== 1) throw error; }
    }
  }

  /// Starts the server and waits until it listens. `now` may be null for the system's clock.
  async serve(args = [], now = NOW) {
    const child = spawn(this.command, ["--json", ...(now ? ["--now", now] : []), "serve", "--listen", "127.0.0.1:0", ...args], { env: this.environment, stdio: ["ignore", "pipe", "inherit"] });
    process.on("exit", () => child.kill());
    const line = await new Promise((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (chunk) => { text += chunk; if (text.includes("\n")) resolve(text); });
      child.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    });
    child.removeAllListeners("exit");
    const at = JSON.parse(line).listening;
    return { at, port: new URL(at).port, end: () => child.kill() };
  }
}

export const launch = (args = []) => chromium.launch({ executablePath: process.env.BROWSER_PATH, args: ["--no-sandbox", ...args] });
