// What charts share: a frame that follows its width, an axis, and reading values by pointer or arrow keys.

import { el, svg } from "./dom.js";
import * as format from "./format.js";

export const number = (value) => (value === null ? null : Number(value));

/// A number of a figure in words.
export const show = (unit, value) => (value === null || value === undefined ? "unknown" :
  unit === "cost" ? format.dollars(value) : unit === "percent" ? `${Number(value)} %` : format.scaled(value));

/// Steps of an axis from 0 to at least `most`.
export function ticks(most, wanted = 4) {
  if (!(most > 0)) return [0, 1];
  const raw = most / wanted;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((candidate) => candidate >= raw);
  const steps = [];
  for (let at = 0; at < most + step; at += step) steps.push(Number(at.toPrecision(12)));
  return steps;
}

/// Draws the horizontal lines and their numbers.
export function axis({ left, right, top, bottom, steps, unit }) {
  const most = steps[steps.length - 1];
  const y = (value) => bottom - (value / most) * (bottom - top);
  const lines = steps.map((step) => [
    svg("line", { class: step === 0 ? "base" : "grid", x1: left, x2: right, y1: y(step), y2: y(step) }),
    svg("text", { class: "tick", x: left - 8, y: y(step) + 4, "text-anchor": "end" }, show(unit, step)),
  ]);
  return { y, lines: lines.flat() };
}

/// The labels of columns that fit, evenly spaced.
export function columnLabels(columns, x, width, y, shorten) {
  const every = Math.max(1, Math.ceil(columns.length / Math.max(1, Math.floor(width / 64))));
  return columns.map((column, at) => ((columns.length - 1 - at) % every === 0
    ? svg("text", { class: "tick", x: x(at), y, "text-anchor": at === columns.length - 1 ? "end" : "middle" }, shorten(column)) : null));
}

/// A chart. `draw(width)` returns {height, nodes, columns: [x…], cursor: {top, bottom}}; `read(column)` says what a column
/// shows; `data` is [caption, columns, rows] of a table with the same numbers.
export function chart({ label, draw, read, data, legend }) {
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  const holder = el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${label}. Left and right arrows read the values.` });
  let [drawn, width, at, cursor] = [null, 0, null, null];
  const idle = () => { readout.textContent = ""; readout.append(read(null)); };
  const point = (column) => {
    at = column;
    cursor?.remove();
    if (column === null || !drawn?.columns?.length) return idle();
    const x = drawn.columns[column];
    cursor = svg("line", { class: "cursor", x1: x, x2: x, y1: drawn.cursor.top, y2: drawn.cursor.bottom });
    holder.firstChild.append(cursor);
    readout.textContent = "";
    readout.append(read(column));
    return undefined;
  };
  const redraw = () => {
    const wide = Math.floor(holder.clientWidth);
    if (wide === 0 || wide === width) return;
    width = wide;
    drawn = draw(wide);
    holder.replaceChildren(svg("svg", { width: wide, height: drawn.height, viewBox: `0 0 ${wide} ${drawn.height}`, "aria-hidden": "true" }, drawn.nodes));
    point(null);
  };
  const nearest = (event) => {
    const x = event.clientX - holder.getBoundingClientRect().left;
    const distances = drawn.columns.map((column) => Math.abs(column - x));
    return distances.indexOf(Math.min(...distances));
  };
  holder.addEventListener("pointermove", (event) => drawn?.columns?.length && point(nearest(event)));
  holder.addEventListener("pointerleave", () => point(null));
  holder.addEventListener("blur", () => point(null));
  holder.addEventListener("keydown", (event) => {
    const last = (drawn?.columns?.length ?? 0) - 1;
    const moves = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last };
    if (last < 0 || !(event.key in moves)) return;
    event.preventDefault();
    point(Math.max(0, Math.min(last, moves[event.key])));
  });
  idle();
  new ResizeObserver(redraw).observe(holder);
  const [caption, heads, rows] = data;
  const numbers = el("details", { class: "numbers", id: `n-${caption.replace(/\W+/g, "-")}` }, el("summary", {}, "Numbers as a table"));
  // A table of hundreds of rows is built only for a reader who opens it.
  numbers.addEventListener("toggle", () => {
    if (!numbers.open || numbers.children.length > 1) return;
    numbers.append(el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
      el("table", {}, el("caption", { class: "unseen" }, caption),
        el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, rows().map((row) => el("tr", {}, row.map((cell, index) => (index === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: "num" }, cell)))))))));
  });
  return el("div", { class: "chart" }, legend, holder, readout, numbers);
}

/// Names of series with their colours.
export const legend = (names) => el("ul", { class: "legend" }, names.map((text, at) =>
  el("li", {}, el("span", { class: `dot b${at % 8}` }), el("bdi", {}, text))));

export const empty = () => el("p", { class: "muted empty" }, "Nothing was used in this time.");
