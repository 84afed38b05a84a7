// Who worked when, with switches, pauses and refusals.

import { matrix } from "./chart_matrix.js";
import { shortColumn } from "./chart_stack.js";
import { strip } from "./chart_strip.js";
import { get } from "./client.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { choices, eventList, muted, panel } from "./widgets.js";

export const title = "Timeline";
export const isLive = true;

const DAYS = [["1", "24 hours"], ["3", "3 days"], ["7", "7 days"], ["60", "60 days"]];
const KINDS = ["provider_switched", "paused", "resumed", "quota_exhausted", "alert_fired"];
const HOUR = 3600000;

/// The labels of all hours or days of a range, in the zone of the ledger.
function columnsOf(now, days) {
  const columns = [];
  if (days > 7) {
    for (let at = days - 1; at >= 0; at -= 1) columns.push(format.dayBefore(now, at));
  } else {
    for (let at = days * 24 - 1; at >= 0; at -= 1) columns.push(format.time(Date.parse(now) - at * HOUR).slice(0, 13).replace(" ", "T"));
  }
  // An hour that a change of the clock repeats has one label.
  return [...new Set(columns)];
}

const position = (columns, at) => {
  const text = format.time(at).replace(" ", "T");
  const isHours = columns[0].includes("T");
  const column = columns.indexOf(text.slice(0, isHours ? 13 : 10));
  return column < 0 ? null : column + (isHours ? Number(text.slice(14, 16)) / 60 : Number(text.slice(11, 13)) / 24);
};

export async function load(parameters, signal) {
  const days = Number(parameters.days ?? 3) || 3;
  const overview = await get("overview", {}, signal);
  format.setZone(overview.zone);
  const columns = columnsOf(overview.now, days);
  const since = columns[0].includes("T") ? format.instant(`${columns[0]}:00`) : columns[0];
  const [figure, events, week] = await Promise.all([
    get("figure", { by: [days > 7 ? "day" : "hour", "provider"].join(","), unit: "tokens", since }, signal),
    get("log", { kind: KINDS, since, limit: 100 }, signal),
    get("figure", { by: "hour", unit: "tokens", days: 60 }, signal),
  ]);
  const marks = events.events.filter((event) => !event.void).map((event) => ({ column: position(columns, event.occurred_at), kind: event.kind, text: `${format.kindName(event.kind)}: ${event.summary}` })).filter((mark) => mark.column !== null);
  const kinds = [["provider_switched", "switch of provider"], ["paused", "pause"], ["resumed", "end of a pause"], ["quota_exhausted", "refusal"], ["alert_fired", "alert"]].filter(([kind]) => marks.some((mark) => mark.kind === kind));
  const content = [
    panel("Who worked", choices("time", String(days), DAYS.map(([key, text]) => [key, text, `#/timeline?days=${key}`])),
      kinds.length > 0 && el("ul", { class: "legend" }, kinds.map(([kind, text]) => el("li", {}, el("span", { class: `dot k-${kind}` }), text))),
      strip(`tokens of each provider by ${days > 7 ? "day" : "hour"}`, columns, figure, marks, shortColumn),
      muted("The active provider is ", el("bdi", {}, overview.active_provider ?? "none"), `; ${format.counted(overview.switches, "switch", "switches")} in all. A switch resets no counter.`)),
    panel("Switches, pauses and refusals", null, events.events.length > 0 ? eventList("Switches, pauses and refusals", events.events) : muted("None in this time."),
      events.next !== null && el("p", {}, el("a", { href: "#/events?kind=provider_switched" }, "Earlier switches"))),
    panel("Hours of the week, 60 days", null, matrix("tokens by weekday and hour", week, { small: true, sums: false })),
  ];
  return { content, position: overview.position };
}
