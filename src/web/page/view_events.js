// The log, the latest first, with filters.

import { get } from "./client.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { eventList, field, muted, panel, select } from "./widgets.js";

export const title = "Events";
export const isLive = true;

const KINDS = ["tokens_recorded", "provider_switched", "tokens_amended", "event_voided", "quota_observed", "quota_exhausted", "paused", "resumed", "limit_set", "provider_declared", "price_set", "usage_overridden", "budget_reserved", "budget_settled", "budget_released", "imported", "event_shredded", "period_sealed", "alert_set", "alert_fired", "alert_delivery"];
const FILTERS = ["kind", "provider", "account", "model", "agent", "project", "conversation", "since", "until"];

const input = (named, value, placeholder) => el("input", { name: named, value: value ?? "", placeholder, autocomplete: "off", spellcheck: "false" });

export async function load(parameters, signal) {
  const filters = Object.fromEntries(FILTERS.map((key) => [key, parameters[key]]).filter(([, value]) => value));
  const log = await get("log", { ...filters, before: parameters.before, limit: 50 }, signal);
  const more = Object.keys(filters).some((key) => !["kind", "provider"].includes(key));
  const form = el("form", { class: "filters", "aria-label": "Filter" },
    field("Kind", select("kind", filters.kind, [["", "all kinds"], ...KINDS.map((kind) => [kind, format.kindName(kind)])])),
    field("Provider", input("provider", filters.provider, "anthropic")),
    el("details", { class: "more", id: "more-filters", open: more }, el("summary", {}, "More filters"), el("div", { class: "filters" },
      field("Model", input("model", filters.model, "claude-opus-4-5")), field("Project", input("project", filters.project, "/home/me/src/acme")),
      field("Agent", input("agent", filters.agent, "claude-code")), field("Conversation", input("conversation", filters.conversation, "")),
      field("Account", input("account", filters.account, "")),
      field("Since", input("since", filters.since, "2026-11-01")), field("Until", input("until", filters.until, "2026-12")))),
    el("div", { class: "buttons" }, el("button", { type: "submit" }, "Filter"), el("a", { href: "#/events", class: "button quiet" }, "Clear")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => String(value).trim());
    location.hash = `#/events${given.length ? `?${new URLSearchParams(given)}` : ""}`;
  });
  const find = el("form", { class: "filters", "aria-label": "Find an event" },
    field("Position, id or key", input("event", "", "120 or msg_01ABC")), el("div", { class: "buttons" }, el("button", { type: "submit" }, "Show")));
  find.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = String(new FormData(find).get("event")).trim();
    if (wanted) location.hash = `#/event/${encodeURIComponent(wanted)}`;
  });
  const page = (before) => `#/events?${new URLSearchParams({ ...filters, ...(before ? { before } : {}) })}`;
  const content = [
    panel("Find", null, el("div", { class: "find" }, form, find)),
    panel(`Events of ${format.grouped(log.head)}`, null,
      log.events.length > 0 ? eventList("Events, the latest first", log.events, "event-list") : muted("No event matches. Remove a filter, or correct its spelling: filters compare whole names."),
      (parameters.before || log.next !== null) && el("nav", { class: "pager", "aria-label": "Pages of events" },
        parameters.before && el("a", { href: page(null), class: "button quiet", id: "newest" }, "Latest"),
        log.next !== null && el("a", { href: page(log.next), class: "button", id: "older" }, "Older"))),
  ];
  return { content, position: log.head, isStill: Boolean(parameters.before) };
}
