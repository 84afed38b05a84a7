// What recorded statements of providers confirm.

import { stack } from "./chart_stack.js";
import { get } from "./client.js";
import { el, name } from "./dom.js";
import * as format from "./format.js";
import { choices, command, eventLink, muted, panel, table } from "./widgets.js";

export const title = "Bill";
export const isLive = false;

const DAYS = [["31", "31 days"], ["92", "92 days"], ["366", "A year"]];
const PARTS = ["confirmed", "explained", "provisional", "unexplained"];
const date = (at) => at.slice(0, 10);

/// The share of a part as a percentage.
const share = (shares, part) => shares === null ? "–" : `${shares[part].toFixed(1)} %`;

export async function load(parameters, signal) {
  const days = parameters.days ?? "31";
  const [bill, program] = await Promise.all([get("bill", { days, provider: parameters.provider }, signal), get("about", {}, signal)]);
  format.setZone(program.zone);
  const figure = { shape: bill.days.length > 0 ? "stacked" : "empty", unit: "cost", columns: bill.days.map((day) => day.day), rows: PARTS, values: PARTS.map((part) => bill.days.map((day) => day[part])) };
  const link = (change) => `#/bill?${new URLSearchParams({ days, ...(parameters.provider ? { provider: parameters.provider } : {}), ...change })}`;
  const content = [
    panel("Confirmed by statements", choices("days", days, DAYS.map(([key, text]) => [key, text, link({ days: key })])),
      stack("spend that statements confirm, by day", figure),
      table("Spend in these days", [["Part", ""], ["US dollars", "num"], ["Share", "num"]], PARTS.map((part) => [part, bill.total[part], share(bill.shares, part)])),
      bill.total.rows_without_amount > 0 && muted(`${format.counted(bill.total.rows_without_amount, "row")} without a known amount are not in these sums.`),
      muted("Confirmed: ledger and statement agree. Explained: they differ for a known cause. Provisional: the statement may still change.")),
    panel("Statements", null, bill.statements.length > 0
      ? table("Recorded statements, the latest first", [["Event", "num"], ["Provider", ""], ["Account", ""], ["From", ""], ["Until", ""], ["Buckets", "num"], ["Holds", ""], ["Export", "grow"]],
        bill.statements.map((one) => [eventLink(one.position), name(one.provider), one.account === null ? "" : name(one.account), date(one.since), date(one.until), format.grouped(one.buckets), one.superseded ? "replaced" : "yes", name(one.export)]))
      : [muted("No statement is recorded."), el("p", {}, command("usage-ledger reconcile FILE"))],
    bill.statements_total > bill.statements.length && muted(`The latest ${bill.statements.length} of ${bill.statements_total} are shown.`)),
  ];
  return { content, position: bill.position };
}
