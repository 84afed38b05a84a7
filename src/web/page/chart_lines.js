// How full windows were over time, with their resets.

import { axis, chart, columnLabels, empty, legend, number } from "./chart_axis.js";
import { el, svg } from "./dom.js";

const HEIGHT = 220;

/// Draws a figure of the shape `windows`. `marks` are [percentage, class, text] of horizontal lines, `at` is the index of a
/// column to mark.
export function lines(label, figure, { marks = [], at: marked = null } = {}) {
  if (figure.shape !== "windows") return empty();
  const values = figure.values.map((row) => row.map(number));
  // Over two days or less the date says little.
  const isShort = new Set(figure.columns.map((column) => column.slice(0, 5))).size <= 2;
  const shorten = (column) => (isShort ? column.slice(6) : column.slice(0, 5));
  const draw = (width) => {
    const [left, right, top, bottom] = [56, width - 6, 10, HEIGHT - 26];
    const { y, lines: grid } = axis({ left, right, top, bottom, steps: [0, 25, 50, 75, 100], unit: "percent" });
    const x = (at) => left + ((right - left) * at) / Math.max(1, figure.columns.length - 1);
    const drawn = values.map((row, series) => {
      let path = "";
      let open = false;
      row.forEach((value, at) => {
        const reset = figure.resets[series]?.includes(at);
        if (value === null || reset) open = false;
        if (value === null) return;
        path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(Math.min(value, 100)).toFixed(1)}`;
        open = true;
      });
      const resets = (figure.resets[series] ?? []).map((at) => svg("line", { class: `reset l${series}`, x1: x(at), x2: x(at), y1: top, y2: bottom }));
      return [resets, svg("path", { class: `line l${series}`, d: path })];
    });
    const levels = marks.map(([percent, kind, text]) => [
      svg("line", { class: `level ${kind}`, x1: left, x2: right, y1: y(percent), y2: y(percent) }),
      svg("text", { class: `tick level-text ${kind}`, x: right, y: y(percent) - 4, "text-anchor": "end" }, text),
    ]);
    const chosen = marked === null ? null : svg("line", { class: "chosen", x1: x(marked), x2: x(marked), y1: top, y2: bottom });
    return {
      height: HEIGHT,
      nodes: [grid, levels, drawn, chosen, columnLabels(figure.columns, x, right - left, HEIGHT - 8, shorten)],
      columns: figure.columns.map((_, at) => x(at)),
      cursor: { top, bottom },
    };
  };
  const text = (value) => (value === null ? "not open or unknown" : `${value} %`);
  const read = (at) => (at === null ? el("span", {}, figure.limits.map((limit, series) => (limit ? `${figure.rows[series]} ${limit}` : null)).filter(Boolean).join(" · ")) :
    el("span", {}, el("strong", {}, figure.columns[at]), values.map((row, series) => ` · ${figure.rows[series]} ${text(row[at])}`)));
  const rows = () => figure.columns.map((column, at) => [column, ...values.map((row) => text(row[at]))]).reverse();
  return chart({ label, draw, read, legend: legend(figure.rows), data: [label, ["Time", ...figure.rows], rows] });
}
