// The quota windows of an account as bars, with the forecast.

import { el, name } from "./dom.js";
import * as format from "./format.js";
import { account, mode } from "./widgets.js";

/// The colour of a percentage: by the marks of the decision, and without marks as in the terminal.
function tone(percent, decision) {
  const marks = decision?.begins ?? {};
  if (percent >= (marks.wait ?? 90)) return "bad";
  return percent >= (marks.review ?? 70) ? "warn" : "good";
}

/// A bar from 0 to 100 %, with a mark where use will be when the window resets.
export function bar(label, percent, { tone: colour = "good", mark = null, note = null } = {}) {
  const shown = Math.max(0, Math.min(100, percent ?? 0));
  const text = [percent === null || percent === undefined ? "unknown" : `${percent} percent`, note].filter(Boolean).join(", ");
  return el("div", { class: `meter ${colour}`, role: "img", "aria-label": `${label}: ${text}` },
    el("span", { class: "meter-fill", css: { width: `${shown}%` } }),
    mark !== null && el("span", { class: "meter-mark", css: { left: `${Math.min(100, mark)}%` } }));
}

/// The forecast of a window in one sentence.
export function forecast(window, now) {
  const ahead = window.forecast;
  if (!ahead) return null;
  if (ahead.idle && ahead.percent_per_hour === 0) return "nothing was used for half an hour";
  const rate = `${Number(ahead.percent_per_hour.toFixed(1))} % an hour`;
  if (ahead.before_reset && ahead.used_up_at) {
    const spread = ahead.earliest_at && ahead.latest_at
      ? ` (between ${format.clock(ahead.earliest_at, now)} and ${format.clock(ahead.latest_at, now)})` : "";
    const early = window.resets_at ? `, ${format.duration(Date.parse(window.resets_at) - Date.parse(ahead.used_up_at))} before the reset` : "";
    return `${rate}: used up at ${format.clock(ahead.used_up_at, now)}${early}${spread}`;
  }
  if (ahead.percent_at_reset !== null) return `${rate}: about ${Math.round(ahead.percent_at_reset)} % at the reset`;
  return rate;
}

function windowRow(label, window, decision, now) {
  const { percent } = window;
  const open = window.resets_at !== null;
  if (!open && percent === null && window.limit === null) return null;
  const ahead = forecast(window, now);
  const limit = window.limit === null ? `${format.scaled(window.tokens.total)} tokens` :
    `${format.scaled(window.weighted)} of ${format.scaled(window.limit)}`;
  const resets = open ? `resets in ${format.duration(Date.parse(window.resets_at) - Date.parse(now))} (${format.clock(window.resets_at, now)})` : "not open";
  return el("div", { class: "window" },
    el("div", { class: "window-head" }, el("span", { class: "window-name" }, label),
      el("span", { class: "window-percent" }, percent === null ? (window.limit === null ? "no limit known" : "unknown") : `${percent} %`)),
    bar(label, percent, { tone: tone(percent ?? 0, decision), mark: window.forecast?.percent_at_reset ?? null, note: ahead }),
    el("p", { class: "window-note" }, `${limit} · ${format.cost(window.cost)} · ${resets} · ${window.basis}`),
    ahead && el("p", { class: `window-note ${window.forecast.before_reset ? "alarm" : ""}` }, ahead));
}

function poolRow(pool, now) {
  const label = `${format.duration(pool.window_minutes * 60000)} window${pool.scope ? ` of ${pool.scope}` : ""}`;
  return el("div", { class: "window" },
    el("div", { class: "window-head" }, el("span", { class: "window-name" }, label), el("span", { class: "window-percent" }, format.percent(pool.percent))),
    bar(label, pool.percent, { tone: tone(pool.percent ?? 0) }),
    el("p", { class: "window-note" }, [pool.resets_at ? `resets in ${format.duration(Date.parse(pool.resets_at) - Date.parse(now))}` : "no reset known", pool.stale ? " · the reading is old" : ""]));
}

function moneyRow(money, now) {
  const label = `${money.period} budget${money.project ? ` of ${format.shortProject(money.project)}` : ""}`;
  return el("div", { class: "window" },
    el("div", { class: "window-head" }, el("span", { class: "window-name" }, label), el("span", { class: "window-percent" }, format.percent(money.percent))),
    bar(label, money.percent, { tone: tone(money.percent) }),
    el("p", { class: "window-note" }, `${format.cost(money.cost)} of ${format.dollars(money.limit_usd)} · resets in ${format.duration(Date.parse(money.resets_at) - Date.parse(now))}`));
}

const refusal = (refused, now) => el("p", { class: "window-note alarm" },
  `refused by the provider${refused.model ? ` for ${refused.model}` : ""} until ${format.clock(refused.until, now)}: `, name(refused.excerpt));

/// The windows of an account. Returns a list of rows.
export function windowRows(status, now) {
  if (!status.metered) return [el("p", { class: "window-note" }, "no API quota: never gated")];
  const rows = [
    windowRow("session", status.session, status.budget, now),
    windowRow("weekly", status.weekly, status.budget, now),
    status.pools.map((pool) => poolRow(pool, now)),
    status.money.map((money) => moneyRow(money, now)),
    status.exhausted && refusal(status.exhausted, now),
    status.exhausted_models.map((refused) => refusal(refused, now)),
  ].flat().filter(Boolean);
  return rows.length > 0 ? rows : [el("p", { class: "window-note" }, "no open window and no known limit")];
}

/// Whether anything is known of how much an account may use.
export function hasWindow(status) {
  const isKnown = (window) => window.limit !== null || window.percent !== null;
  return status.metered && (isKnown(status.session) || isKnown(status.weekly) || status.pools.length > 0 || status.money.length > 0 || status.exhausted !== null || status.exhausted_models.length > 0 || status.budget.gated);
}

/// The address of the page of an account.
export function providerHref(status) {
  const of = status.account ? `?account=${encodeURIComponent(status.account)}` : "";
  return `#/provider/${encodeURIComponent(status.provider)}${of}`;
}

/// An account with its windows and decision. The windows of all machines have no page of their own.
export function accountCard(status, active, now, isLinked = true) {
  const isActive = status.provider === active;
  return el("article", { class: `card account ${isActive ? "active" : ""}` },
    el("div", { class: "card-head" },
      el("h3", {}, isLinked ? el("a", { href: providerHref(status), id: `a-${status.provider}-${status.account ?? ""}` }, account(status.provider, status.account)) : account(status.provider, status.account)),
      isActive && el("span", { class: "chip" }, "active"), mode(status.budget)),
    windowRows(status, now),
    status.metered && el("p", { class: "reason" }, status.budget.reason),
    el("p", { class: "window-note" }, `all time ${format.scaled(status.all_time.tokens.total)} tokens, ${format.counted(status.all_time.requests, "request")}, ${format.cost(status.all_time.cost)}`));
}
