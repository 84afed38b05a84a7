// One account: its windows, how full they were, what it was used for, and what happened to it.

import { lines } from "./chart_lines.js";
import { stack } from "./chart_stack.js";
import { get, Refusal } from "./client.js";
import { el, name } from "./dom.js";
import * as format from "./format.js";
import { account, choices, classes, eventList, field, mode, muted, panel, select, shareBar, table } from "./widgets.js";
import { providerHref, windowRows } from "./windows.js";

export const title = "Provider";
export const isLive = true;

const KINDS = ["provider_switched", "quota_exhausted", "limit_set", "provider_declared", "usage_overridden", "alert_fired", "price_set"];
const DAYS = [["1", "Day"], ["7", "Week"], ["30", "Month"]];

function marks(budget) {
  const begins = budget.begins ?? {};
  return [["review", "warn"], ["wait", "bad"]].filter(([key]) => begins[key] !== null && begins[key] !== undefined).map(([key, kind]) => [begins[key], kind, `${key} from ${begins[key]} %`]);
}

/// Rows of a report, each with its share of the cost, or of the tokens if no call has a price.
export function shares(caption, key, report, href, shorten = (text) => text) {
  const priced = report.total.cost.usd !== null;
  const size = (sums) => Number(priced ? sums.cost.usd ?? 0 : sums.tokens.total);
  const whole = size(report.total) || 1;
  return table(caption, [[`${key[0].toUpperCase()}${key.slice(1)}`, ""], [priced ? "Share of the cost" : "Share of the tokens", "wide"], ["Cost", "num"], ["Tokens", "num"], ["Requests", "num"]], report.rows.map((row) => {
    const text = shorten(row[key] ?? "");
    return [
      row[key] ? el("a", { href: href(row[key]), title: row[key] }, name(text)) : el("span", { class: "muted" }, `no ${key}`),
      [shareBar(size(row) / whole), el("span", { class: "share-text" }, `${((size(row) / whole) * 100).toFixed(1)} %`)],
      format.cost(row.cost), format.scaled(row.tokens.total), format.grouped(row.requests),
    ];
  }));
}

export async function load(parameters, signal) {
  const overview = await get("overview", {}, signal);
  format.setZone(overview.zone);
  if (overview.providers.length === 0) return { content: [muted("The ledger has no provider yet.")], position: overview.position };
  const wanted = parameters.path ?? overview.active_provider ?? overview.providers[0].provider;
  const status = overview.providers.find((one) => one.provider === wanted && (one.account ?? "") === (parameters.account ?? "")) ?? overview.providers.find((one) => one.provider === wanted);
  if (!status) throw new Refusal(404, { title: "There is no such provider", detail: `The ledger has no provider ${wanted}.`, remedy: "Choose one below.", candidates: overview.providers.map((one) => one.provider) });
  const days = parameters.days ?? "7";
  const of = { provider: status.provider, account: status.account ?? undefined };
  const [use, spend, models, events] = await Promise.all([
    status.metered ? get("figure", { by: "window", days, ...of }, signal) : null,
    get("figure", { by: ["day", "model"], days: 30, ...of }, signal),
    get("report", { by: "model", days: 30, sort: "cost", top: 20, ...of }, signal),
    get("log", { kind: KINDS, provider: status.provider, limit: 20 }, signal),
  ]);
  const { budget } = status;
  const link = (change) => `#/provider/${encodeURIComponent(status.provider)}?${new URLSearchParams({ ...(status.account ? { account: status.account } : {}), days, ...change })}`;
  const chooser = select("provider", providerHref(status), overview.providers.map((one) => [providerHref(one), one.account ? `${one.provider} (${one.account})` : one.provider]));
  chooser.addEventListener("change", () => { location.hash = chooser.value; });
  const why = `#/decisions?${new URLSearchParams({ provider: status.provider, ...(status.account ? { account: status.account } : {}) })}`;
  const content = [
    el("div", { class: "title-row" }, el("h2", { class: "title" }, account(status.provider, status.account)), mode(budget), field("Account", chooser)),
    el("div", { class: "cards two" },
      el("section", { class: "card", "aria-label": "Windows" }, windowRows(status, overview.now)),
      el("section", { class: "card", "aria-label": "Decision" }, el("h3", { class: "card-label" }, "May the next run start?"),
        el("p", { class: "reason" }, budget.reason),
        budget.run_cost !== null && el("p", { class: "card-note" }, `one run uses about ${budget.run_cost} % of a session window`),
        el("p", {}, el("a", { href: why }, "Every step of this decision")),
        el("h3", { class: "card-label" }, "All time"), el("p", { class: "card-note" }, `${format.scaled(status.all_time.tokens.total)} tokens, ${format.counted(status.all_time.requests, "request")}, ${format.cost(status.all_time.cost)}`), classes(status.all_time.tokens))),
    use && panel("Use of the windows", choices("days", days, DAYS.map(([key, text]) => [key, text, link({ days: key })])), lines(`use of the windows of ${status.provider}`, use, { marks: marks(budget) })),
    panel("Spend by model, 30 days", null, stack("cost by day and model", spend)),
    panel("Models, 30 days", null, shares("Models by cost", "model", models, (model) => `#/events?${new URLSearchParams({ kind: "tokens_recorded", provider: status.provider, model })}`)),
    panel("What happened", null, events.events.length > 0 ? eventList("Switches, limits and refusals", events.events) : muted("No switch, limit or refusal is recorded.")),
  ];
  return { content, position: overview.position, heading: status.provider };
}
