// Every page in a browser: wide and narrow, dark and light, by keyboard, with axe-core, and with hostile names.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { axeSource, HOSTILE, launch, Ledger, NOW } from "./server.mjs";

const [, , command, work, pictures] = process.argv;
if (pictures) mkdirSync(pictures, { recursive: true });
const ledger = new Ledger(command, join(work, "page")).fill();
const server = await ledger.serve(["--key", ledger.key]);
ledger.fleet(server.at);
const browser = await launch();
const PAGES = { overview: "#/overview", provider: "#/provider/anthropic", projects: "#/projects?by=model", timeline: "#/timeline?days=7", events: "#/events", event: "#/event/2", decisions: "#/decisions?provider=anthropic", bill: "#/bill", imports: "#/imports", fleet: "#/fleet?by=person&days=365" };
const FORMS = { wide: { viewport: { width: 1280, height: 860 }, colorScheme: "light" }, dark: { viewport: { width: 1280, height: 860 }, colorScheme: "dark" }, phone: { viewport: { width: 360, height: 740 }, colorScheme: "light", hasTouch: true, isMobile: true } };

/// A tab that notes what must not happen: violations of the policy, errors, other servers, large answers.
async function tabOf(form, at = server.at) {
  const context = await browser.newContext(form);
  const tab = await context.newPage();
  tab.faults = [];
  // While the page is written: PAGE_FILES=src/web/page shows these files instead of those in the program.
  if (process.env.PAGE_FILES) {
    await tab.route("**/page/*", async (route) => route.fulfill({ response: await route.fetch(), body: readFileSync(join(process.env.PAGE_FILES, route.request().url().split("/page/")[1])) }));
  }
  await tab.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  tab.on("pageerror", (error) => tab.faults.push(`error: ${error.message}`));
  tab.on("console", (message) => { if (message.type() === "error" && !message.text().includes("401")) tab.faults.push(`console: ${message.text()}`); });
  tab.on("request", (request) => {
    if (!request.url().startsWith(`${at}/`)) tab.faults.push(`another server: ${request.url()}`);
    if (request.method() !== "GET") tab.faults.push(`a change: ${request.method()} ${request.url()}`);
  });
  tab.on("response", async (response) => {
    if (response.url().includes("/stream")) return;
    const size = (await response.body().catch(() => "")).length;
    if (size > 100_000) tab.faults.push(`${size} bytes: ${response.url()}`);
  });
  tab.open = async (hash) => {
    await tab.goto(`${at}/${hash}`);
    await tab.waitForSelector("main:not([aria-busy]) #heading", { state: "attached" });
  };
  tab.expectClean = async (where) => {
    assert.deepEqual([...tab.faults, ...(await tab.evaluate(() => window.violations))], [], where);
  };
  return tab;
}

// Each page in each form.
for (const [form, options] of Object.entries(FORMS)) {
  const tab = await tabOf(options);
  for (const [name, hash] of Object.entries(PAGES)) {
    const where = `${name}, ${form}`;
    await tab.open(hash);
    // Charts draw when their width is known.
    await tab.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
    await tab.expectClean(where);
    const found = await tab.evaluate(() => ({
      overflow: document.documentElement.scrollWidth - window.innerWidth,
      markup: document.querySelectorAll("main img, main script, main iframe, main a[href^='javascript']").length,
      raw: /[\u202a-\u202e\u2066-\u2069\u001b]/.test(document.body.textContent),
      styles: document.querySelectorAll("style, [onclick]").length,
    }));
    assert.deepEqual(found, { overflow: Math.min(0, found.overflow), markup: 0, raw: false, styles: 0 }, where);
    await tab.evaluate(axeSource);
    const audit = await tab.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    assert.deepEqual(audit.violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 3).join("; ")}`), [], where);
    if (pictures) await tab.screenshot({ path: join(pictures, `${name}-${form}.png`), fullPage: true });
  }
  await tab.context().close();
}

// What the pages show is what the command answers.
const tab = await tabOf(FORMS.wide);
const text = (selector) => tab.textContent(selector);
await tab.open(PAGES.overview);
const overview = ledger.json(["--no-import"]);
const shown = await tab.$$eval(".big", (nodes) => nodes.map((node) => node.textContent));
const dollars = (usd) => `$${Number(usd).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: Number(usd) < 0.995 ? 4 : 2 })}`;
assert.deepEqual(shown, ["today", "week", "month"].map((period) => dollars(overview.periods[period].cost.usd)));
assert.match(await text("main"), /54 %|48 %/);
assert.match(await text("main"), /used up at|at the reset/);
await tab.open(PAGES.projects);
const projects = await text("main");
for (const expected of ["\\u{202e}txt.exe", "<img src=x onerror=alert(1)>", "\\u{1b}[31mred", "javascript:alert(1)"]) assert.ok(projects.includes(expected), expected);
assert.ok(HOSTILE.length === 5);
await tab.open("#/events?kind=provider_switched");
assert.deepEqual(new Set(await tab.$$eval(".kind", (nodes) => nodes.map((node) => node.textContent))), new Set(["provider switched"]));
await tab.open("#/events?kind=tokens_recorded&project=%2Fhome%2Fme%2Fsrc%2Facme");
await tab.click("#older");
await tab.waitForSelector("#newest");
const past = "2026-11-27T15:20:00.000Z";
for (const moment of [past, "2026-10-20T00:00:00.000Z"]) {
  await tab.open(`#/decisions?provider=anthropic&at=${moment}`);
  const gate = ledger.json(["--as-of", moment, "gate", "anthropic"]);
  assert.equal(await text(".answer .lead"), gate.reason);
  assert.deepEqual(await tab.$$eval(".trail li", (nodes) => nodes.map((node) => node.textContent)), gate.trail);
}
await tab.open(PAGES.bill);
const bill = ledger.json(["report", "--bill"]);
assert.ok((await text("main")).includes(bill.total.confirmed) && (await text("main")).includes(bill.days[0].day), "the page and `report --bill` agree");
await tab.open(PAGES.imports);
assert.match(await text("main"), /torn line|unknown shape/);
await tab.open(PAGES.fleet);
const fleet = await text("main");
for (const expected of ["laptop", "desktop", "new-machine", "search", HOSTILE[1], "a push was refused", "push --as-new-ledger --from 41"]) assert.ok(fleet.includes(expected), expected);
const merged = JSON.parse(ledger.run(NOW, ["--json", "--ledger", ledger.json(["fleet", "merge"]).file, "report", "--by", "person", "--since", "2025-12"]));
for (const row of merged.rows) assert.ok(fleet.includes(row.requests.toLocaleString("en-US")), JSON.stringify(row));
assert.deepEqual(merged.rows.filter((row) => row.person !== null).map((row) => [row.person, row.requests]).sort(), [[HOSTILE[1], 40], ["ann", 41]].sort());
await tab.open("#/event/k5");
assert.match(await text("main"), /Event #\d+/);
await tab.goto(`${server.at}/#/event/99999999`);
await tab.waitForSelector("[role=alert]");
assert.match(await text("[role=alert]"), /99999999/);
tab.faults.length = 0; // the browser logs the 404

// Proofs are verified in the page: every hash, the signature, and the history since the last visit.
await tab.open("#/event/100");
assert.equal(await text("#verdict"), "This page verified that the event is in the ledger.");
assert.deepEqual(await tab.$$eval("#steps .step", (nodes) => nodes.map((node) => node.className)), ["step good", "step good", "step good", "step good"]);
const tampered = async (pattern, change, expected) => {
  await tab.route(pattern, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: JSON.stringify(change(await response.json())) });
  });
  await tab.open("#/event/101");
  assert.match(await text("#verdict"), /failed/, expected);
  assert.match(await text("#steps"), expected);
  await tab.unroute(pattern);
  await tab.open("#/overview");
};
await tampered("**/api/v1/line*", (answer) => ({ ...answer, text: answer.text.replace(/"input":\d+/, '"input":1') }), /another hash/);
await tampered("**/api/v1/show*", (answer) => ({ ...answer, proof: { ...answer.proof, hashes: answer.proof.hashes.toReversed() } }), /does not lead/);
await tampered("**/api/v1/checkpoint*", (answer) => ({ ...answer, note: answer.note.replace(/^usage-ledger/, "usage-ledgex") }), /not signed/);
await tab.evaluate(() => localStorage.setItem("usage-ledger-seen", JSON.stringify({ size: 50, root: "00".repeat(32), at: "2026-11-01T00:00:00Z" })));
await tab.open("#/event/100");
assert.match(await text("#steps"), /was rewritten/);
await tab.evaluate(() => localStorage.clear());
await tab.expectClean("proofs");

// By keyboard alone, in a new document.
await tab.goto("about:blank");
tab.faults.length = 0;
await tab.open(PAGES.overview);
await tab.keyboard.press("Tab");
assert.equal(await tab.evaluate(() => document.activeElement.id), "skip");
await tab.keyboard.press("Enter");
assert.equal(await tab.evaluate(() => document.activeElement.id), "main");
const tabTo = async (selector) => {
  for (let presses = 0; presses < 80; presses += 1) {
    await tab.keyboard.press("Tab");
    if (await tab.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
  }
  assert.fail(`${selector} cannot be reached`);
};
await tabTo(".plot");
await tab.keyboard.press("End");
assert.match(await text(".readout"), /2026-11-27/);
await tab.keyboard.press("ArrowLeft");
assert.match(await text(".readout"), /2026-11-26/);
await tabTo("summary");
await tab.keyboard.press("Enter");
await tab.waitForSelector("details[open] td");
await tab.keyboard.press("5");
await tab.waitForSelector("#event-list");
assert.equal(await tab.evaluate(() => document.activeElement.id), "heading");
await tabTo("#event-list a");
await tab.keyboard.press("Enter");
await tab.waitForSelector("#verdict");
await tab.goBack();
await tab.waitForSelector("#event-list");
const back = () => tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
const before = await back();
await tab.focus("#theme");
for (const label of ["Light", "Dark"]) {
  await tab.keyboard.press("Enter");
  assert.equal(await text("#theme"), label);
}
assert.notEqual(await back(), before);
await tab.reload();
assert.equal(await text("#theme"), "Dark");
await tab.expectClean("keyboard");

// A call that another program records appears by itself, and what the reader does is kept.
const current = await ledger.serve([], null);
const living = await tabOf(FORMS.wide, current.at);
await living.open(PAGES.overview);
await living.waitForSelector("#live[data-state=live]");
await living.click(".numbers summary");
ledger.run(new Date().toISOString(), ["record", "--provider", "xai", "--model", "grok-4", "--input", "1000000", "--key", "new"]);
await living.waitForSelector("text=xai", { timeout: 20_000 });
assert.ok(await living.$("details[open] td"), "an opened table was closed by a refresh");
ledger.run(new Date().toISOString(), ["record", "--provider", "xai", "--model", "grok-4", "--input", "1", "--occurred-at", "2199-01-01T00:00:00Z"]);
await living.waitForSelector("text=/1 event is at a time in the future/", { timeout: 20_000 });
await living.expectClean("live");
current.end();
await living.waitForSelector("#live[data-state=waiting]");

// A server with a token: its files are public, its data are not.
const token = "correct-horse-battery-staple";
writeFileSync(join(work, "token"), token);
const guarded = await ledger.serve(["--token-file", join(work, "token")]);
const guest = await tabOf(FORMS.phone, guarded.at);
await guest.goto(`${guarded.at}/#/projects`);
await guest.fill("#token", "wrong-wrong-wrong-wrong");
await guest.click("main button");
await guest.waitForSelector(".login .notice");
await guest.evaluate(axeSource);
assert.deepEqual((await guest.evaluate(() => window.axe.run())).violations.map((one) => one.id), []);
if (pictures) await guest.screenshot({ path: join(pictures, "login-phone.png") });
await guest.fill("#token", token);
await guest.keyboard.press("Enter");
await guest.waitForSelector(".matrix");
await guest.waitForSelector("#live[data-state=live]");
await guest.reload();
await guest.waitForSelector(".matrix");
assert.equal(await guest.evaluate(() => localStorage.length + document.cookie.length - (localStorage.getItem("usage-ledger-theme") ? 1 : 0)), 0);
await guest.click("#sign-out");
await guest.waitForSelector("#token");
await guest.expectClean("token");
guarded.end();

await browser.close();
server.end();
assert.equal(ledger.json(["verify"]).ok, true);
console.log(`pages: ok (${Object.keys(PAGES).length} pages in ${Object.keys(FORMS).length} forms, at ${NOW})`);
