// Why did the gate wait? The decision at any time, from what the ledger knew then.

import { lines } from "./chart_lines.js";
import { get, Refusal } from "./client.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { account, eventList, field, muted, mode, notice, panel, select } from "./widgets.js";
import { windowRows } from "./windows.js";

export const title = "Decisions";
export const isLive = true;

const NEEDS = [["review", "review"], ["implement", "implement"], ["deep", "deep"]];
const TIERS = [["trivial", "trivial"], ["simple", "simple"], ["medium", "medium"], ["complex", "complex"], ["critical", "critical"]];
const HOUR = 3600000;

function form(parameters, overview, chosen, at) {
  const key = (one) => JSON.stringify([one.provider, one.account]);
  const accounts = select("account", chosen ? key(chosen) : "", overview.providers.map((one) => [key(one), one.account ? `${one.provider} (${one.account})` : one.provider]));
  const when = el("input", { type: "datetime-local", name: "at", value: at ? format.local(at) : "", max: "9999-12-31T23:59" });
  const node = el("form", { class: "filters", "aria-label": "Decision" }, field("Account", accounts), field(`Time (${format.currentZone()})`, when),
    field("Need", select("need", parameters.need ?? "review", NEEDS)), field("Task", select("tier", parameters.tier ?? "medium", TIERS)),
    el("div", { class: "buttons" }, el("button", { type: "submit" }, "Explain"), el("a", { href: link(parameters, { at: null }), class: "button quiet", id: "at-now" }, "Now")));
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData(node);
    const [provider, label] = JSON.parse(data.get("account") || "[null,null]");
    location.hash = link({}, { provider, account: label, at: data.get("at") ? format.instant(data.get("at")) : null, need: data.get("need"), tier: data.get("tier") });
  });
  return node;
}

function link(parameters, change) {
  const all = { provider: parameters.provider, account: parameters.account, at: parameters.at, need: parameters.need, tier: parameters.tier, ...change };
  return `#/decisions?${new URLSearchParams(Object.entries(all).filter(([, value]) => value))}`;
}

function steps(parameters, at, now) {
  const base = Date.parse(at ?? now);
  const to = (text, id, milliseconds) => el("a", { class: "button quiet", id, href: link(parameters, { at: new Date(base + milliseconds).toISOString() }) }, text);
  const later = [["+1 h", "plus-hour", HOUR], ["+1 day", "plus-day", 24 * HOUR]].filter(([, , step]) => base + step <= Date.parse(now));
  return el("div", { class: "pager" }, to("−1 day", "minus-day", -24 * HOUR), to("−1 h", "minus-hour", -HOUR), later.map((step) => to(...step)));
}

/// The command with the same answer. An account may contain any characters, so it is quoted.
function commandLine({ provider, account: label }, { at, need, tier }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const options = [label && `--account ${quoted(label)}`, need && `--need ${need}`, tier && `--tier ${tier}`, "--explain"];
  return ["usage-ledger", at && `--as-of ${at}`, `gate ${provider}`, ...options].filter(Boolean).join(" ");
}

export async function load(parameters, signal) {
  const overview = await get("overview", {}, signal);
  format.setZone(overview.zone);
  const { at } = parameters;
  const metered = overview.providers.filter((one) => one.metered);
  const wanted = parameters.provider ?? overview.active_provider ?? metered[0]?.provider;
  const chosen = overview.providers.find((one) => one.provider === wanted && (one.account ?? "") === (parameters.account ?? "")) ?? overview.providers.find((one) => one.provider === wanted);
  const heading = panel("Ask", null, form(parameters, overview, chosen, at), muted("The answer uses only what was recorded by that time. The readings and calls of a later import are left out."));
  if (!chosen) return { content: [heading, muted("The ledger has no provider yet.")], position: overview.position };
  const of = { provider: chosen.provider, account: chosen.account ?? undefined };
  let gate;
  let past = overview;
  try {
    [gate, past] = await Promise.all([
      get("gate", { ...of, need: parameters.need, tier: parameters.tier, as_of: at, allow_undeclared: true }, signal),
      at ? get("overview", { as_of: at }, signal) : overview]);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status === 401) throw error;
    return { content: [heading, notice("bad", error.message, error.remedy)], position: overview.position };
  }
  const middle = Date.parse(at ?? overview.now);
  const [from, until] = [middle - 12 * HOUR, Math.min(middle + 12 * HOUR, Date.parse(overview.now))];
  const [use, evidence] = await Promise.all([
    chosen.metered ? get("figure", { by: "window", ...of, since: new Date(from).toISOString(), until: new Date(Math.max(until, from + HOUR)).toISOString() }, signal) : null,
    gate.evidence.length > 0 ? get("summaries", { position: gate.evidence.slice(0, 50) }, signal) : { events: [] }]);
  const status = past.providers.find((one) => one.provider === chosen.provider && one.account === chosen.account);
  const marked = use?.columns.length > 0 ? Math.round(((middle - from) / (Math.max(until, from + HOUR) - from)) * (use.columns.length - 1)) : null;
  const level = gate.begins?.wait;
  const content = [
    heading,
    el("section", { class: `panel answer mode-${gate.mode}-edge`, "aria-label": "Answer" },
      el("div", { class: "title-row" }, el("h2", { class: "title" }, gate.gated ? "Wait" : "Go"), mode(gate), el("p", { class: "muted" }, account(chosen.provider, chosen.account), ` · ${at ? `at ${format.time(at)}` : "now"} · position ${format.grouped(past.position)}`), steps(parameters, at, overview.now)),
      el("p", { class: "lead" }, el("bdi", {}, gate.reason)),
      gate.resumes_at && el("p", {}, `It opens at ${format.time(gate.resumes_at)}.`),
      el("h3", { class: "card-label" }, "How it was decided"),
      el("ol", { class: "trail" }, gate.trail.map((line) => el("li", {}, el("bdi", {}, line)))),
      gate.warnings.map((warning) => notice("warn", warning, null))),
    status && panel(at ? "Windows at that time" : "Windows", null, windowRows(status, past.now)),
    use && panel("Use around that time", null, lines(`use of the windows of ${chosen.provider}`, use, { marks: level ? [[level, "bad", `wait from ${level} %`]] : [], at: marked })),
    panel("Evidence", null, evidence.events.length > 0 ? eventList("Events that the decision rests on", evidence.events) : muted("The decision rests on no event."),
      gate.evidence.length > 50 && muted(`${gate.evidence.length - 50} further events.`)),
    muted("The same on the command line: ", el("code", {}, commandLine(chosen, parameters))),
  ];
  return { content, position: overview.position, isStill: Boolean(at) };
}
