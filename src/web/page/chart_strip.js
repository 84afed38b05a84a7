// Who worked when: one row for each provider, one cell for each hour or day, with markers of switches and pauses.

import { chart, columnLabels, empty, number, show } from "./chart_axis.js";
import { el, svg } from "./dom.js";

const ROW = 30;

/// `columns` are the labels of all hours or days in order, `figure` is stacked and may lack some of them, `marks` are
/// {column, kind, text} with a column that may be a fraction.
export function strip(label, columns, figure, marks, shorten) {
  if (figure.shape !== "stacked") return empty();
  const known = new Map(figure.columns.map((column, at) => [column, at]));
  const value = (row, column) => (known.has(columns[column]) ? number(figure.values[row][known.get(columns[column])]) ?? 0 : 0);
  const most = Math.max(...figure.values.flat().map((text) => number(text) ?? 0), 0);
  const draw = (width) => {
    const left = width < 520 ? 84 : 130;
    const [right, top] = [width - 6, 22];
    const bottom = top + ROW * figure.rows.length;
    const slot = (right - left) / columns.length;
    const x = (at) => left + slot * at;
    const rows = figure.rows.map((name, row) => [
      svg("text", { class: "row-name", x: left - 8, y: top + ROW * row + 19, "text-anchor": "end" }, name.length > 18 ? `${name.slice(0, 17)}…` : name),
      svg("rect", { class: "row-back", x: left, y: top + ROW * row + 4, width: right - left, height: ROW - 8, rx: 3 }),
      columns.map((_, column) => {
        const amount = value(row, column);
        const height = amount > 0 ? Math.max(3, (amount / most) ** 0.5 * (ROW - 8)) : 0;
        return height > 0 ? svg("rect", { class: `s${row % 8}`, x: x(column) + Math.min(1, slot / 8), y: top + ROW * (row + 1) - 4 - height, width: Math.max(1, slot - Math.min(2, slot / 4)), height, rx: 1.5 }) : null;
      }),
    ]);
    const markers = marks.map((mark) => [
      svg("line", { class: `marker ${mark.kind}`, x1: x(mark.column), x2: x(mark.column), y1: top - 6, y2: bottom }),
      svg("circle", { class: `marker ${mark.kind}`, cx: x(mark.column), cy: top - 9, r: 4 }),
    ]);
    return {
      height: bottom + 24,
      nodes: [rows, markers, columnLabels(columns, (at) => x(at + 0.5), right - left, bottom + 17, shorten)],
      columns: columns.map((_, at) => x(at + 0.5)),
      cursor: { top, bottom },
    };
  };
  const read = (at) => {
    if (at === null) return el("span", {}, marks.length > 0 ? `${marks.length} marked ${marks.length === 1 ? "moment" : "moments"}: the list below names them` : "");
    const parts = figure.rows.map((name, row) => [name, value(row, at)]).filter(([, amount]) => amount > 0);
    const near = marks.filter((mark) => Math.floor(mark.column) === at);
    return el("span", {}, el("strong", {}, columns[at].replace("T", " ")),
      parts.length > 0 ? parts.map(([name, amount]) => [" · ", el("bdi", {}, name), ` ${show(figure.unit, amount)}`]) : " · nobody worked",
      near.map((mark) => [" · ", el("bdi", {}, mark.text)]));
  };
  const rows = () => columns.map((column, at) => [column.replace("T", " "), ...figure.rows.map((_, row) => show(figure.unit, value(row, at)))]).reverse();
  return chart({ label, draw, read, legend: null, data: [label, ["Time", ...figure.rows], rows] });
}
