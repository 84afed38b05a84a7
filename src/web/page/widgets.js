// Parts that several pages share.

import { append, el, name } from "./dom.js";
import * as format from "./format.js";

/// A section with a heading, and controls at its right.
export function panel(title, controls, ...children) {
  const id = `h-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  return el("section", { class: "panel", "aria-labelledby": id },
    el("div", { class: "panel-head" }, el("h2", { id }, title), controls && el("div", { class: "controls" }, controls)),
    ...children);
}

export const muted = (...children) => el("p", { class: "muted" }, ...children);

/// The mode of a decision as a coloured word.
export const mode = (decision) => el("span", { class: `chip mode-${decision.mode}` }, decision.mode);

export const account = (provider, label) => [name(provider), label ? [" (", name(label), ")"] : null];

/// A group of links of which one is current.
export function choices(label, current, options) {
  return el("div", { class: "choices", role: "group", "aria-label": label }, options.map(([value, text, href]) =>
    el("a", { href, id: `c-${label}-${value}`.replace(/\s/g, "-"), "aria-current": String(value) === String(current) ? "true" : null }, text)));
}

/// A field with its label.
export function field(label, control) {
  const id = `f-${label.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  control.id = id;
  return el("div", { class: "field" }, el("label", { for: id }, label), control);
}

export function select(named, current, options) {
  return el("select", { name: named }, options.map(([value, text]) =>
    el("option", { value, selected: value === (current ?? "") }, text)));
}

/// A table in a frame that scrolls sideways on narrow screens. Columns are [title, "num" or "", "wide" or nothing].
export function table(caption, columns, rows, id = undefined) {
  const head = columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell, at) =>
    (at === 0 ? el("th", { scope: "row", class: columns[at][1] }, cell) : el("td", { class: columns[at][1], "data-label": columns[at][0] }, cell)))));
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption, id },
    el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}

/// A horizontal bar of a share from 0 to 1.
export const shareBar = (share, series = 0) =>
  el("span", { class: "share" }, el("span", { class: `share-fill b${series}`, css: { width: `${Math.max(0, Math.min(1, share)) * 100}%` } }));

/// A link to an event.
export const eventLink = (position) => el("a", { href: `#/event/${position}`, class: "mono" }, `#${position}`);

/// Rows of summaries.
export function eventList(caption, events, id = undefined) {
  return table(caption, [["Position", "num"], ["Time", ""], ["Kind", ""], ["Summary", "grow"]], events.map((event) => [
    eventLink(event.position),
    el("span", { class: "mono nowrap" }, format.time(event.occurred_at)),
    el("span", { class: `kind k-${event.kind}` }, format.kindName(event.kind)),
    [event.shredded && el("span", { class: "chip" }, "erased"), event.void && el("span", { class: "chip bad" }, "withdrawn"), " ", el("bdi", {}, event.summary)],
  ]), id);
}

/// A message with a remedy.
export function notice(kind, title, remedy) {
  return append(el("div", { class: `notice ${kind}` }), [el("p", {}, title), remedy && el("p", { class: "remedy" }, remedy)]);
}

/// A command that the user may copy.
export function command(text) {
  const button = el("button", { type: "button", class: "quiet", "aria-label": `Copy ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
    }
  });
  return el("span", { class: "command" }, el("code", {}, text), button);
}

/// Tokens by class as one bar with a legend; null for no tokens.
export function classes(tokens) {
  const parts = [["input", "uncached input"], ["cache_read", "cache read"], ["cache_write", "cache write"], ["output", "output"], ["reasoning", "reasoning"]];
  const total = Number(tokens.total);
  if (total === 0) return null;
  const shown = parts.filter(([key]) => Number(tokens[key]) > 0);
  const label = shown.map(([key, text]) => `${text} ${format.scaled(tokens[key])}`).join(", ");
  return el("div", { class: "classes" },
    el("div", { class: "class-bar", role: "img", "aria-label": label }, shown.map(([key]) =>
      el("span", { class: `class-${key}`, css: { "flex-grow": String(Number(tokens[key]) / total) } }))),
    el("ul", { class: "legend" }, shown.map(([key, text]) =>
      el("li", {}, el("span", { class: `dot class-${key}` }), text, " ", el("strong", {}, format.scaled(tokens[key]))))));
}
