// One shade for each pair of names: projects and models, or weekdays and hours. It is a table, so it can be read as one.

import { empty, number, show } from "./chart_axis.js";
import { el } from "./dom.js";

/// Draws a figure of the shape `matrix`. `columnName` and `rowName` may shorten names; `small` hides the numbers.
export function matrix(label, figure, { rowName = (text) => text, columnName = (text) => text, small = false, sums = true } = {}) {
  if (figure.shape !== "matrix") return empty();
  const values = figure.values.map((row) => row.map((value) => number(value) ?? 0));
  const most = Math.max(...values.flat(), 0);
  const shade = (value) => (value <= 0 || most <= 0 ? 0 : Math.max(1, Math.ceil((value / most) ** 0.5 * 8)));
  const total = (row) => row.reduce((sum, value) => sum + value, 0);
  const head = figure.columns.map((column) => el("th", { scope: "col", title: column }, el("bdi", {}, columnName(column))));
  const body = figure.rows.map((row, at) => el("tr", {},
    el("th", { scope: "row", title: row }, el("bdi", {}, rowName(row))),
    sums && el("td", { class: "num total" }, show(figure.unit, total(values[at]))),
    values[at].map((value, column) => {
      const text = value > 0 ? show(figure.unit, value) : "";
      return el("td", { class: `cell h${shade(value)}`, title: `${row}, ${figure.columns[column]}: ${text || "nothing"}` },
        small ? el("span", { class: "unseen" }, text || "0") : text);
    }),
    ));
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label },
    el("table", { class: `matrix ${small ? "small" : ""}` }, el("caption", { class: "unseen" }, label),
      el("thead", {}, el("tr", {}, el("td", {}), sums && el("th", { scope: "col", class: "num" }, "total"), head)), el("tbody", {}, body)));
}
