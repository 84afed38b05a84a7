// Today, this week and this month; spend by day; the windows of every account with their forecast.

import { stack } from "./chart_stack.js";
import { get } from "./client.js";
import { el, name } from "./dom.js";
import * as format from "./format.js";
import { account, choices, classes, command, eventLink, mode, muted, notice, panel, table } from "./widgets.js";
import { accountCard, hasWindow, providerHref } from "./windows.js";

export const title = "Overview";
export const isLive = true;

const DAYS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]];
const UNITS = [["cost", "Cost"], ["tokens", "Tokens"]];
const KEYS = [["provider", "Provider"], ["model", "Model"], ["project", "Project"], ["agent", "Agent"]];

function period(label, since, usage) {
  return el("article", { class: "card" },
    el("h2", { class: "card-label" }, label),
    el("p", { class: "big" }, format.cost(usage.cost)),
    el("p", { class: "card-note" }, el("strong", {}, format.scaled(usage.tokens.total)), " tokens in ", el("a", { href: `#/events?kind=tokens_recorded&since=${since}` }, format.counted(usage.requests, "request"))),
    usage.cost.unpriced_requests > 0 && usage.cost.usd !== null && el("p", { class: "card-note" }, `${format.counted(usage.cost.unpriced_requests, "request")} without a known price`),
    classes(usage.tokens));
}

export async function load(parameters, signal) {
  const [days, unit, by] = [parameters.days ?? "30", parameters.unit ?? "cost", parameters.by ?? "provider"];
  const [overview, figure] = await Promise.all([
    get("overview", {}, signal),
    get("figure", { by: ["day", by], days, unit }, signal),
  ]);
  format.setZone(overview.zone);
  const link = (change) => `#/overview?${new URLSearchParams({ days, unit, by, ...change })}`;
  const { now, periods, providers } = overview;
  const today = format.time(now).slice(0, 10);
  const weekday = (new Date(`${today}T00:00:00Z`).getUTCDay() + 6) % 7;
  const order = [...providers].sort((one, other) => (other.provider === overview.active_provider) - (one.provider === overview.active_provider) || Number(other.metered) - Number(one.metered));
  const [known, others] = [order.filter(hasWindow), order.filter((status) => !hasWindow(status))];
  const content = [
    overview.paused && notice("warn", ["Work is paused since ", format.clock(overview.paused.since, now), overview.paused.until ? ` until ${format.clock(overview.paused.until, now)}` : "", overview.paused.note ? [": ", name(overview.paused.note)] : ""], command("usage-ledger resume")),
    overview.recorded_ahead && notice("warn", ["The clock was ahead: ", eventLink(overview.recorded_ahead.position), ` is recorded at ${format.time(overview.recorded_ahead.recorded_at)}.`], "usage-ledger doctor explains the effect."),
    overview.occurred_ahead && notice("warn", [`${format.counted(overview.occurred_ahead.events, "event is", "events are")} at a time in the future and will count from then on. The first is `, eventLink(overview.occurred_ahead.position), ` at ${format.time(overview.occurred_ahead.occurred_at)}.`], "usage-ledger doctor names a remedy."),
    providers.length === 0 && panel("The ledger is empty", null,
      el("p", {}, "Import the logs of the coding agents on this machine, or record a call:"),
      el("p", {}, command("usage-ledger import")), el("p", {}, command("usage-ledger record --provider anthropic --model MODEL --input 120 --output 40"))),
    el("section", { "aria-label": "Periods", class: "cards three" },
      period("Today", today, periods.today),
      period("This week", format.dayBefore(`${today}T12:00:00Z`, weekday), periods.week),
      period("This month", today.slice(0, 7), periods.month)),
    panel(`${unit === "cost" ? "Spend" : "Tokens"} by day`, [
      choices("by", by, KEYS.map(([key, text]) => [key, text, link({ by: key })])),
      choices("unit", unit, UNITS.map(([key, text]) => [key, text, link({ unit: key })])),
      choices("days", days, DAYS.map(([key, text]) => [key, text, link({ days: key })]))],
    stack(`${unit} by day and ${by}`, figure, by === "project" ? format.shortProject : undefined)),
    known.length > 0 && panel("Windows", null, el("div", { class: "cards accounts" }, known.map((status) => accountCard(status, overview.active_provider, now)))),
    others.length > 0 && panel(known.length > 0 ? "Other accounts" : "Accounts", null, table("Accounts without a known window", [["Account", ""], ["Quota", "grow"], ["This week", "num"], ["All time", "num"], ["Mode", ""]], others.map((status) => [
      [el("a", { href: providerHref(status) }, account(status.provider, status.account)), status.provider === overview.active_provider && [" ", el("span", { class: "chip" }, "active")]],
      status.metered ? "no limit is set and the provider reported none" : "no API quota: never gated",
      format.cost(status.weekly.cost), `${format.scaled(status.all_time.tokens.total)} · ${format.cost(status.all_time.cost)}`, mode(status.budget)]))),
    overview.suggested_limits.length > 0 && panel("Limits that the readings speak for", null,
      el("ul", { class: "plain" }, overview.suggested_limits.map((limit) => el("li", {},
        name(limit.provider), `, ${limit.window} window: ${format.grouped(limit.limit)} tokens (${format.grouped(limit.low)} to ${format.grouped(limit.high)}, from ${format.counted(limit.observations, "reading")}) `, command(limit.command))))),
    overview.timeline.length > 0 && muted(`${format.counted(overview.switches, "switch", "switches")} of provider; the last at ${format.time(overview.timeline.at(-1).at)} to `, name(overview.timeline.at(-1).to), ". ", el("a", { href: "#/timeline" }, "See the timeline")),
  ];
  return { content, position: overview.position };
}
