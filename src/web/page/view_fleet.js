// All machines that push to this server: who used what, the windows of each account, the heads of the ledgers.

import { get } from "./client.js";
import { el, name } from "./dom.js";
import * as format from "./format.js";
import { account, choices, classes, command, muted, notice, panel, shareBar, table } from "./widgets.js";
import { accountCard, hasWindow } from "./windows.js";

export const title = "Fleet";
export const isLive = true;

const DAYS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "A year"]];
const KEYS = [["machine", "Machine"], ["person", "Person"], ["team", "Team"], ["account", "Account"], ["project", "Project"]];
/// Machines of one page, so that the answer stays small.
const MACHINES = 100;
const ROWS = 50;
const WARNINGS = 20;

const remedy = (text) => text.split(/(`[^`]+`)/).map((part) => (part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part));

function warning(found, now) {
  const about = [found.machine && ["machine ", name(found.machine)], found.ledger && [" ledger ", el("code", {}, found.ledger)]].filter(Boolean);
  return notice("bad", [el("strong", {}, about.length > 0 ? about : "server"), ` (${format.clock(found.at, now)}): `, el("bdi", {}, found.what)], remedy(found.remedy));
}

/// The name of a row.
function label(row, key) {
  if (key === "account") return account(row.provider, row.account);
  const text = row[key];
  if (text === null || text === undefined) return el("span", { class: "muted" }, `no ${key}`);
  return el("span", { title: text }, name(key === "project" ? format.shortProject(text) : text));
}

function shares(key, report) {
  const priced = report.total.cost.usd !== null;
  const size = (sums) => Number(priced ? sums.cost.usd ?? 0 : sums.tokens.total);
  const whole = size(report.total) || 1;
  const heading = KEYS.find(([known]) => known === key)[1];
  return table(`Usage by ${key}`, [[heading, ""], [priced ? "Share of the cost" : "Share of the tokens", "wide"], ["Cost", "num"], ["Tokens", "num"], ["Requests", "num"]], report.rows.map((row) => [
    label(row, key),
    [shareBar(size(row) / whole), el("span", { class: "share-text" }, `${((size(row) / whole) * 100).toFixed(1)} %`)],
    format.cost(row.cost), format.scaled(row.tokens.total), format.grouped(row.requests),
  ]));
}

const ago = (at, now) => (at === null ? "never" : `${format.duration(Date.parse(now) - Date.parse(at))} ago`);
const sum = (values) => values.reduce((all, value) => all + value, 0);

/// Whether all events of a machine count in the sums, or how many wait.
function counted(ledgers) {
  if (ledgers.length === 0) return "–";
  const waiting = sum(ledgers.map((ledger) => Math.max(0, ledger.position - ledger.merged)));
  return waiting > 0 ? el("span", { class: "chip" }, `${format.grouped(waiting)} wait`) : "all";
}

function state(machine, warnings) {
  if (machine.revoked_at !== null) return el("span", { class: "chip" }, "revoked");
  if (warnings.some((found) => found.machine === machine.machine)) return el("span", { class: "chip bad" }, "see above");
  if (machine.ledgers.length === 0) return el("span", { class: "chip" }, "no push yet");
  return el("span", { class: "chip mode-implement" }, machine.ledgers.some((ledger) => ledger.continues !== null) ? "continued" : "in order");
}

function heads(machine) {
  return machine.ledgers.map((ledger) => el("div", {}, el("code", { title: ledger.continues ? `continues ${ledger.continues.ledger} from position ${ledger.continues.position}` : null }, ledger.ledger), " ", el("span", { class: "mono" }, `#${ledger.position}`)));
}

function machines(answer) {
  const { now } = answer;
  return table("Machines and the heads of their ledgers", [["Machine", ""], ["Person", ""], ["Team", ""], ["Last push", ""], ["Ledgers", "grow"], ["Counted", "num"], ["State", ""]], answer.machines.map((machine) => [
    name(machine.machine), machine.person ? name(machine.person) : muted("–"), machine.team ? name(machine.team) : muted("–"),
    el("span", { title: machine.pushed_at ? format.fullTime(machine.pushed_at) : null }, ago(machine.pushed_at, now)),
    machine.ledgers.length > 0 ? heads(machine) : muted("none"), counted(machine.ledgers), state(machine, answer.warnings)]));
}

function card(heading, big, ...notes) {
  return el("article", { class: "card" }, el("h2", { class: "card-label" }, heading), el("p", { class: "big" }, big), notes);
}

export async function load(parameters, signal) {
  const [days, by] = [parameters.days ?? "30", KEYS.some(([key]) => key === parameters.by) ? parameters.by : "machine"];
  const about = await get("about", {}, signal);
  format.setZone(about.zone);
  const list = await get("fleet/machines", { limit: MACHINES, after: parameters.after }, signal);
  const position = list.server?.position ?? 0;
  if (list.total === 0) {
    return { position, content: [panel("No machine is enrolled", null,
      el("p", {}, "Machines push their ledgers to this server, and this page shows all of them together. Enrol one on this server:"),
      el("p", {}, command("usage-ledger fleet enrol laptop --person ann --team search")),
      el("p", {}, "Then push on that machine, with the token that the command printed:"), el("p", {}, command("usage-ledger push URL")))] };
  }
  const [report, status] = await Promise.all([
    get("fleet/report", { by: by === "account" ? ["provider", "account"] : by, days, sort: "cost", top: ROWS }, signal),
    get("fleet/status", {}, signal),
  ]);
  const link = (change) => `#/fleet?${new URLSearchParams({ days, by, ...change })}`;
  const known = status.providers.filter(hasWindow);
  const recent = list.machines.filter((machine) => machine.pushed_at !== null && Date.parse(list.now) - Date.parse(machine.pushed_at) < 86400000).length;
  const { total } = report;
  const isWhole = list.next === null && parameters.after === undefined;
  const content = [
    list.warnings.slice(0, WARNINGS).map((found) => warning(found, list.now)),
    list.warnings.length > WARNINGS && muted(`${list.warnings.length - WARNINGS} further warnings: usage-ledger serve, GET /api/v1/fleet/machines lists all.`),
    el("section", { "aria-label": "All machines", class: "cards three" },
      card(`All machines, ${DAYS.find(([key]) => key === days)?.[1] ?? `${days} days`}`, format.cost(total.cost), el("p", { class: "card-note" }, `${format.scaled(total.tokens.total)} tokens, ${format.counted(total.requests, "request")}`), classes(total.tokens)),
      card("Machines", format.grouped(list.total), isWhole && el("p", { class: "card-note" }, `${format.grouped(recent)} pushed in the last 24 hours`)),
      card("Events", format.grouped(sum(Object.values(report.heads))), el("p", { class: "card-note" }, `count in these sums, from ${format.counted(Object.keys(report.heads).length, "ledger")}`))),
    panel("Usage", [
      choices("by", by, KEYS.map(([key, text]) => [key, text, link({ by: key })])),
      choices("days", days, DAYS.map(([key, text]) => [key, text, link({ days: key })]))],
    report.rows.length > 0 ? shares(by, report) : muted("Nothing was used in this time."), report.rows.length === ROWS && muted(`The ${ROWS} largest are shown.`)),
    known.length > 0 && panel("Windows over all machines", null, el("div", { class: "cards accounts" }, known.map((one) => accountCard(one, status.active_provider, status.now, false)))),
    panel("Machines", null, list.machines.length > 0 ? machines(list) : muted("There are no more machines."),
      el("div", { class: "pager" }, parameters.after !== undefined && el("a", { class: "button quiet", id: "first", href: link({}) }, "First machines"), list.next !== null && el("a", { class: "button quiet", id: "further", href: link({ after: list.next }) }, "Further machines")),
      list.server !== null && muted(`Records that reached this server by telemetry or by its API: ${format.counted(list.server.position, "event")}${list.server.merged < list.server.position ? `, ${format.grouped(list.server.merged)} of them count` : ""}. They count as the ledger “server”.`)),
  ];
  return { content, position };
}
