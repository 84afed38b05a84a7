// The TypeScript client with the real SDKs: each test starts with an empty ledger.
//
//     node typescript_client.js ADDRESS_OF_THE_STUB
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { findCommand, Gated, Ledger, LedgerError, type Receipt } from "usage-ledger";

const address = process.argv[2] ?? "";
const [GPT, CLAUDE] = ["gpt-5", "claude-opus-4-5"];
const chatgpt = new OpenAI({ baseURL: `${address}/v1`, apiKey: "none", maxRetries: 0 });
const claude = new Anthropic({ baseURL: address, apiKey: "none", maxRetries: 0 });
const say = (content: string) => [{ role: "user" as const, content }];

/** The counts of each row: requests, input, cache_read, output, reasoning. */
async function rows(ledger: Ledger, ...by: string[]): Promise<Record<string, number[]>> {
  const { rows } = await ledger.report({ by });
  return Object.fromEntries(
    rows.map(({ requests, tokens, ...row }) => [
      by.map((key) => row[key]).join(" "),
      [requests, tokens.input, tokens.cache_read, tokens.output, tokens.reasoning],
    ]),
  );
}

async function kinds(ledger: Ledger): Promise<string[]> {
  const { events } = await ledger.ask("events");
  return events.map((one: { event: { kind: string } }) => one.event.kind);
}

const tests: Record<string, (ledger: Ledger) => Promise<void>> = {
  async "the operations answer"(ledger) {
    const call = { provider: "anthropic", model: CLAUDE, input: 120, output: 40, key: "msg_1", project: "acme" };
    const first: Receipt = await ledger.record(call);
    const again = await ledger.record(call);
    assert.deepEqual([again.recorded, again.duplicates, again.positions], [0, 1, first.positions]);
    const tally = await ledger.records([{ provider: "openai", input: 1, key: "a" }, { provider: "openai", input: 2 }]);
    assert.equal(tally.recorded, 2);
    assert.equal((await ledger.switch("openai", { reason: "a try" })).recorded, 1);
    assert.equal((await ledger.gate("anthropic", { need: "deep" })).need, "deep");
    const reservation = await ledger.reserve("anthropic", 500, { lasts: "5m", key: "r" });
    assert.equal((await ledger.settle(reservation.id, { model: CLAUDE, input: 4 })).recorded, 1);
    const other = await ledger.reserve("anthropic", 500);
    assert.equal((await ledger.release(other.id, "not needed")).recorded, 1);
    assert.equal((await ledger.scan({ provider: "openai", text: "all is well" })).exhausted, false);
    assert.equal((await ledger.status()).active_provider, "openai");
    assert.equal((await ledger.report({ as_of: "1" })).total.requests, 1);
    assert.equal((await ledger.report()).total.requests, 4);
  },

  async "an error names its kind and remedy"(ledger) {
    const refused: [Promise<unknown>, string, number][] = [
      [ledger.gate("antropic"), "unknown-provider", -32001],
      [ledger.record({ provider: "openai" }), "invalid-input", -32602],
      [ledger.status({ as_of: "99" }), "not-found", -32002],
      [ledger.ask("nothing"), "no-method", -32601],
    ];
    for (const [answer, kind, code] of refused) {
      await assert.rejects(answer, (error) => {
        assert(error instanceof LedgerError && error.message.includes(error.remedy));
        return error.kind === kind && error.code === code;
      });
    }
  },

  async "a call records what the response reports"(ledger) {
    const options = { model: GPT, project: "acme", agent: "a", labels: { team: "x" } };
    await ledger.call("openai", options, async (call) => {
      const answer = await call.record(chatgpt.chat.completions.create({ model: GPT, messages: say("Hello") }));
      assert.equal(answer.choices[0]?.message.content, "A SECRET ANSWER");
      const response = await call.record(chatgpt.responses.create({ model: GPT, input: "Hello" }));
      // The same response is recorded once.
      await call.record(response);
      assert.deepEqual(call.receipts.map((receipt) => receipt.recorded), [1, 1, 0]);
      assert.equal(call.verdict.gated, false);
    });
    const message = await ledger.call("anthropic", { model: CLAUDE, project: "acme" }, (call) =>
      call.record(claude.messages.create({ model: CLAUDE, max_tokens: 9, messages: say("Hi") })),
    );
    assert.equal(message.usage.input_tokens, 30);
    assert.deepEqual(await rows(ledger, "provider", "model", "project"), {
      [`anthropic ${CLAUDE} acme`]: [1, 30, 100, 9, 0],
      [`openai ${GPT} acme`]: [2, 20, 12, 9, 3],
    });
    assert.equal((await rows(ledger, "agent", "label:team"))["a x"]?.[0], 2);
    const events = JSON.stringify(await ledger.ask("events"));
    assert(!events.includes("SECRET"), "no text of a model is sent to the ledger");
    assert(events.includes("web_search"), "uses of the provider's tools are counted");
  },

  async "a stream is recorded when it ends"(ledger) {
    await ledger.call("openai", { model: GPT }, async (call) => {
      const body = { model: GPT, messages: say("Hello"), stream: true as const, stream_options: { include_usage: true } };
      const chunks = [];
      for await (const chunk of await call.record(chatgpt.chat.completions.create(body))) chunks.push(chunk);
      assert.deepEqual([chunks.length, call.receipts.length], [3, 1]);
      const events = await call.record(chatgpt.responses.create({ model: GPT, input: "Hello", stream: true }));
      let last = "";
      for await (const event of events) last = event.type;
      assert.equal(last, "response.completed");
    });
    await ledger.call("anthropic", { model: CLAUDE }, async (call) => {
      const body = { model: CLAUDE, max_tokens: 9, messages: say("Hello") };
      for await (const _ of await call.record(claude.messages.create({ ...body, stream: true })));
      await call.record(claude.messages.stream(body).finalMessage());
    });
    const found = { [CLAUDE]: [2, 60, 200, 18, 0], [GPT]: [2, 20, 12, 9, 3] };
    assert.deepEqual(await rows(ledger, "model"), found);
  },

  async "a stream that is left early records what it reported"(ledger) {
    const body = { model: CLAUDE, max_tokens: 9, messages: say("Hello"), stream: true as const };
    await ledger.call("anthropic", { model: CLAUDE }, async (call) => {
      for await (const _ of await call.record(claude.messages.create(body))) break;
    });
    assert.deepEqual(await rows(ledger, "model"), { [CLAUDE]: [1, 30, 100, 1, 0] });
    // Without usage in the stream nothing is known, so nothing is recorded.
    await ledger.call("openai", { model: GPT, tokens: 100 }, async (call) => {
      const stream = chatgpt.chat.completions.create({ model: GPT, messages: say("Hello"), stream: true });
      for await (const _ of await call.record(stream));
    });
    assert.deepEqual(await kinds(ledger), ["tokens_recorded", "budget_reserved", "budget_released"]);
  },

  async "a reservation is settled or released"(ledger) {
    const ask = (input: string) =>
      ledger.call("openai", { model: GPT, tokens: 1000 }, (call) =>
        call.record(chatgpt.responses.create({ model: GPT, input })),
      );
    await ask("Hello");
    await assert.rejects(ask("be broken"), OpenAI.InternalServerError);
    const wanted = ["budget_reserved", "tokens_recorded", "budget_settled", "budget_reserved", "budget_released"];
    assert.deepEqual(await kinds(ledger), wanted);
  },

  async "a refusal is recorded and shuts the gate"(ledger) {
    const message = () => claude.messages.create({ model: CLAUDE, max_tokens: 9, messages: say("be refused") });
    const response = () => chatgpt.responses.create({ model: GPT, input: "be refused" });
    for (const [provider, model, run, refused] of [
      ["anthropic", CLAUDE, message, Anthropic.RateLimitError],
      ["openai", GPT, response, OpenAI.RateLimitError],
    ] as const) {
      const started = Date.now();
      const ask = () => ledger.call<unknown>(provider, { model, tokens: 50 }, (call) => call.record<unknown>(run()));
      await assert.rejects(ask(), refused);
      assert.deepEqual((await kinds(ledger)).slice(-3), ["budget_reserved", "quota_exhausted", "budget_released"]);
      await assert.rejects(ask(), (error) => {
        assert(error instanceof Gated && error.verdict?.gated && error.resumesAt);
        // Two minutes, and ten more until the provider is asked again.
        const left = (Date.parse(error.resumesAt) - started) / 1000;
        return 690 < left && left < 780;
      });
    }
    assert.deepEqual(await rows(ledger, "provider"), {});
  },

  async "a call that does not fit is gated"(ledger) {
    execFileSync(findCommand(), ["limit", "set", "anthropic", "--session", "1000"]);
    const large = ledger.call("anthropic", { model: CLAUDE, tokens: 5000 }, () => assert.fail("it does not fit"));
    await assert.rejects(large, (error) => error instanceof Gated && !error.verdict && error.kind === "wait");
  },

  async "requests run at once and a closed ledger opens again"(ledger) {
    const keys = Array.from({ length: 40 }, (_, number) => `k${number}`);
    await Promise.all(keys.map((key) => ledger.record({ provider: "openai", input: 1, key })));
    assert.equal((await ledger.report()).total.requests, 40);
    await ledger.close();
    assert.equal((await ledger.record({ provider: "openai", input: 1, key: "k0" })).duplicates, 1);
  },

  async "a ledger that cannot be opened says why"() {
    await using nowhere = new Ledger({ ledger: "/dev/null/usage.db" });
    await assert.rejects(nowhere.status(), (error) => error instanceof LedgerError && error.message.includes("/dev/null"));
    await using missing = new Ledger({ command: "/dev/null/usage-ledger" });
    await assert.rejects(missing.status(), (error) => error instanceof LedgerError && error.kind === "unavailable");
  },
};

assert(existsSync(findCommand()) && findCommand().includes("node_modules"), "the command is that of the package");
for (const [name, test] of Object.entries(tests)) {
  const directory = mkdtempSync(join(tmpdir(), "usage-ledger-"));
  process.env["USAGE_LEDGER"] = join(directory, "usage.db");
  {
    await using ledger = new Ledger();
    await test(ledger);
  }
  rmSync(directory, { recursive: true });
  console.log(`ok ${name}`);
}
console.log(`${Object.keys(tests).length} tests of the TypeScript client passed`);
