// Columns of a time, divided into series.

import { axis, chart, columnLabels, empty, legend, number, show, ticks } from "./chart_axis.js";
import { el, svg } from "./dom.js";

const HEIGHT = 240;

/// Labels of days and months without what is the same everywhere.
export const shortColumn = (column) => (/^\d{4}-\d\d-\d\dT/.test(column) ? `${column.slice(11, 13)}:00` :
  /^\d{4}-\d\d-\d\d$/.test(column) ? column.slice(5) : column);

/// Draws a figure of the shape `stacked`. Series have names that `nameOf` may shorten.
export function stack(label, figure, nameOf = (text) => text) {
  if (figure.shape !== "stacked" || figure.columns.length === 0) return empty();
  const values = figure.values.map((row) => row.map((value) => number(value) ?? 0));
  const totals = figure.columns.map((_, at) => values.reduce((sum, row) => sum + row[at], 0));
  const steps = ticks(Math.max(...totals));
  const names = figure.rows.map(nameOf);
  const draw = (width) => {
    const [left, right, top, bottom] = [56, width - 4, 10, HEIGHT - 26];
    const { y, lines } = axis({ left, right, top, bottom, steps, unit: figure.unit });
    const slot = (right - left) / figure.columns.length;
    const thick = Math.max(1, Math.min(46, slot * 0.74));
    const x = (at) => left + slot * (at + 0.5);
    const nodes = figure.columns.map((_, at) => {
      let below = 0;
      return values.map((row, series) => {
        const [from, to] = [below, below + row[at]];
        below = to;
        const height = y(from) - y(to);
        return height > 0 ? svg("rect", { class: `s${series % 8}`, x: x(at) - thick / 2, y: y(to), width: thick, height, rx: Math.min(2, thick / 4) }) : null;
      });
    });
    return {
      height: HEIGHT,
      nodes: [lines, nodes, columnLabels(figure.columns, x, right - left, HEIGHT - 8, shortColumn)],
      columns: figure.columns.map((_, at) => x(at)),
      cursor: { top, bottom },
    };
  };
  const read = (at) => {
    if (at === null) {
      const sum = totals.reduce((all, total) => all + total, 0);
      return el("span", {}, el("strong", {}, show(figure.unit, sum)), " in all");
    }
    const parts = values.map((row, series) => [names[series], row[at]]).filter(([, value]) => value > 0);
    return el("span", {}, el("strong", {}, `${figure.columns[at]}: ${show(figure.unit, totals[at])}`),
      parts.length > 1 && parts.map(([text, value]) => [" · ", el("bdi", {}, text), ` ${show(figure.unit, value)}`]));
  };
  const rows = () => figure.columns.map((column, at) => [column, ...values.map((row) => show(figure.unit, row[at])), show(figure.unit, totals[at])]).reverse();
  return chart({ label, draw, read, legend: figure.rows.length > 1 ? legend(names) : null, data: [label, ["Time", ...names, "Total"], rows] });
}
