// Pages of other origins in a real browser: none of them writes to the ledger or reads it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { join } from "node:path";
import { launch, Ledger } from "./server.mjs";

const [, , command, work] = process.argv;
const ledger = new Ledger(command, join(work, "attacks"));
ledger.run("2026-11-27T10:00:00Z", ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "5", "--key", "secret-key"]);
const server = await ledger.serve([], null);
const head = () => ledger.json(["report"]).head.position;
const before = head();

// The attacker's page, on another port, and under a name that leads to the ledger's address.
const body = JSON.stringify({ provider: "openai", input: 1 });
const page = (target) => `<!doctype html><title>attacker</title><iframe name="hidden"></iframe>
<form id="urlencoded" method="post" action="${target}/api/v1/record" target="hidden"><input name='{"provider":"openai","input":1,"x":"' value='"}'></form>
<form id="plain" method="post" enctype="text/plain" action="${target}/api/v1/record" target="hidden"><input name='{"provider":"openai","input":1,"project":"' value='"}'></form>
<form id="multipart" method="post" enctype="multipart/form-data" action="${target}/api/v1/switch" target="hidden"><input name="provider" value="openai"></form>
<form id="get" method="get" action="${target}/api/v1/record" target="hidden"><input name="provider" value="openai"></form>`;
const attacker = createServer((request, response) => {
  response.setHeader("content-type", "text/html");
  response.end(page(new URL(request.url, "http://x").searchParams.get("target")));
});
await new Promise((resolve) => { attacker.listen(0, "127.0.0.1", resolve); });
const { port } = attacker.address();

// `evil.example` stands for the name that the attacker points to 127.0.0.1 after his page is loaded.
const browser = await launch(["--host-resolver-rules=MAP evil.example 127.0.0.1"]);
const tab = await (await browser.newContext()).newPage();

const attempts = async (target) => tab.evaluate(async ({ to, data }) => {
  const results = {};
  const attempt = async (name, init) => {
    try {
      const response = await fetch(`${to}/api/v1/${name.split(" ")[1]}`, init);
      results[name] = [response.type, response.status, await response.text()];
    } catch (error) {
      results[name] = ["error", 0, String(error)];
    }
  };
  const json = { "content-type": "application/json" };
  await attempt("json record", { method: "POST", headers: json, body: data });
  await attempt("simple record", { method: "POST", body: data, mode: "no-cors" });
  await attempt("credentials record", { method: "POST", body: data, mode: "no-cors", credentials: "include" });
  await attempt("switch switch", { method: "POST", headers: json, body: '{"provider":"openai"}' });
  await attempt("put record", { method: "PUT", headers: json, body: data });
  await attempt("read overview", {});
  await attempt("read events", { mode: "no-cors" });
  results.beacon = navigator.sendBeacon(`${to}/api/v1/record`, new Blob([data], { type: "text/plain" }));
  return results;
}, { to: target, data: body });

const submit = async () => {
  for (const id of ["urlencoded", "plain", "multipart", "get"]) {
    await Promise.all([tab.waitForResponse((response) => response.url().includes("/api/v1/")), tab.evaluate((form) => document.getElementById(form).submit(), id)]);
  }
};

// 1. A page of another origin: scripts, beacons and forms.
await tab.goto(`http://127.0.0.1:${port}/?target=${encodeURIComponent(server.at)}`);
for (const [name, result] of Object.entries(await attempts(server.at))) {
  if (name !== "beacon") assert.ok(result[0] !== "basic" && !String(result[2]).includes("secret-key"), `${name}: ${result}`);
}
await submit();
assert.equal(head(), before, "a page of another origin wrote");

// 2. DNS rebinding: the page's own name leads to the ledger, so the browser takes the requests for same-origin.
const rebound = `http://evil.example:${server.port}`;
const answer = await tab.goto(`${rebound}/`);
assert.equal(answer.status(), 403, "the document under a foreign name");
for (const [name, result] of Object.entries(await attempts(""))) {
  if (name !== "beacon") assert.ok(result[1] === 403 || result[0] === "error", `${name}: ${result}`);
}
assert.equal(head(), before, "a rebound page wrote");
// The attacker's page under the same name and another port, with forms to the rebound port.
await tab.goto(`http://evil.example:${port}/?target=${encodeURIComponent(rebound)}`);
await attempts(rebound);
await submit();
assert.equal(head(), before, "a form of a rebound page wrote");

// 3. The page cannot be framed by another one, and is not a script or picture for it.
await tab.goto(`http://127.0.0.1:${port}/?target=x`);
const framed = await tab.evaluate(async (target) => {
  const frame = document.createElement("iframe");
  frame.src = `${target}/`;
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  document.body.append(frame);
  await loaded;
  try { return frame.contentDocument === null ? "opaque" : "readable"; } catch { return "opaque"; }
}, server.at);
const inner = tab.frames().find((frame) => frame.url().startsWith(server.at));
assert.ok(framed === "opaque" && !(await inner?.$("main").catch(() => null)), "the page was framed");

// The server's own page is not hindered, and the ledger is whole.
await tab.goto(`${server.at}/`);
await tab.waitForSelector("main h2");
assert.equal(ledger.json(["verify"]).ok, true);
await browser.close();
attacker.close();
server.end();
console.log("attacks: ok (nothing was written or read)");
