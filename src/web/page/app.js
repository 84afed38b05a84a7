// Chooses the page by the part of the address after #, loads it, and loads it again when the ledger grows.

import { get, Refusal, signIn, signOut, token } from "./client.js";
import { append, el } from "./dom.js";
import * as format from "./format.js";
import { Live } from "./live.js";
import { notice } from "./widgets.js";
import * as overview from "./view_overview.js";

const VIEWS = {
  overview: async () => overview,
  provider: () => import("./view_provider.js"),
  projects: () => import("./view_projects.js"),
  timeline: () => import("./view_timeline.js"),
  events: () => import("./view_events.js"),
  event: () => import("./view_event.js"),
  decisions: () => import("./view_decisions.js"),
  bill: () => import("./view_bill.js"),
  imports: () => import("./view_imports.js"),
  fleet: () => import("./view_fleet.js"),
};
const PAGES = [["overview", "Overview"], ["provider", "Provider"], ["projects", "Projects"], ["timeline", "Timeline"], ["events", "Events"], ["decisions", "Decisions"], ["bill", "Bill"], ["imports", "Imports"], ["fleet", "Fleet"]];
/// Pause between two refreshes, however much is recorded.
const CALM = 2000;
/// Times such as `resets in 2h` move even if nothing is recorded.
const MINUTE = 60000;

const main = document.getElementById("main");
const live = document.getElementById("live");
let current = { route: null, view: null, position: null, isStill: false };
let loading = new AbortController();
let refreshAt = 0;
let refreshTimer = null;

function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  const parameters = Object.fromEntries(new URLSearchParams(search ?? ""));
  if (rest.length > 0) {
    try { parameters.path = decodeURIComponent(rest.join("/")); } catch { parameters.path = rest.join("/"); }
  }
  return { page: Object.hasOwn(VIEWS, page) ? page : "overview", parameters, text: location.hash };
}

function navigation(page) {
  document.getElementById("pages").replaceChildren(el("ul", {}, PAGES.map(([key, text]) =>
    el("li", {}, el("a", { href: `#/${key}`, id: `page-${key}`, "aria-current": key === page || (page === "event" && key === "events") ? "page" : null }, text)))));
}

/// Replaces the content, and keeps focus, open details and the place on the page.
function replace(content, keeps) {
  const open = keeps ? [...main.querySelectorAll("details[open][id]")].map((node) => node.id) : [];
  const focused = keeps && main.contains(document.activeElement) ? document.activeElement.id : null;
  const place = scrollY;
  main.replaceChildren();
  append(main, content);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (keeps) scrollTo(0, place);
}

function showLogin(error) {
  const input = el("input", { type: "password", autocomplete: "current-password", required: true, id: "token", name: "token" });
  const form = el("form", { class: "panel login" }, el("h1", { class: "title" }, "Sign in"),
    el("p", {}, "This server asks for a token. It is the content of its token file, or what it printed when it started. The token stays in this tab."),
    token() && notice("bad", error.message, null),
    el("div", { class: "field" }, el("label", { for: "token" }, "Token"), input), el("div", { class: "buttons" }, el("button", { type: "submit" }, "Sign in")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(input.value.trim());
    show();
  });
  follow.end();
  replace([form], false);
  input.focus();
}

function failed(error) {
  if (error.name === "AbortError") return;
  if (error instanceof Refusal && error.status === 401) return showLogin(error);
  const candidates = (error.candidates ?? []).map((name) => el("li", {}, el("a", { href: `#/provider/${encodeURIComponent(name)}` }, name)));
  const again = el("button", { type: "button" }, "Try again");
  again.addEventListener("click", () => show());
  replace([el("div", { class: "notice bad", role: "alert" }, el("h1", { class: "title" }, error.title ?? "The page failed"), el("p", {}, error.message), error.remedy && el("p", { class: "remedy" }, error.remedy), candidates.length > 0 && el("ul", {}, candidates), el("p", {}, again))], false);
  return undefined;
}

/// Loads the page of the address. A refresh keeps what the reader does with it.
async function show(isRefresh = false) {
  const { page, parameters, text } = route();
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const isNew = current.route?.split("?")[0] !== text.split("?")[0];
  if (!isRefresh) navigation(page);
  if (isNew && !isRefresh) main.setAttribute("aria-busy", "true");
  try {
    const view = await VIEWS[page]();
    const { content, position, heading, isStill = false } = await view.load(parameters, signal);
    if (signal.aborted) return;
    document.title = `${heading ?? view.title} · usage-ledger`;
    replace([el("h1", { class: "unseen", tabindex: "-1", id: "heading" }, heading ?? view.title), ...content], !isNew || isRefresh);
    if (isNew && !isRefresh && current.route !== null) {
      scrollTo(0, 0);
      document.getElementById("heading").focus({ preventScroll: true });
    }
    current = { route: text, view, position, isStill };
    document.getElementById("sign-out").hidden = !token();
    if (follow.head === null || isRefresh === false) follow.begin(Math.max(position, follow.head ?? 0));
  } catch (error) {
    if (signal.aborted) return;
    if (isRefresh && error instanceof Refusal && error.status === 0) return; // `live` says so
    failed(error);
    current = { ...current, route: text };
  } finally {
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

const isBusy = () => {
  const active = document.activeElement;
  const isTyping = main.contains(active) && ["INPUT", "SELECT", "TEXTAREA"].includes(active.tagName);
  return isTyping || main.querySelector(".plot:focus, .plot:hover") !== null || String(getSelection()).length > 0;
};

/// Refreshes soon, but not more often than a reader can follow.
function refresh() {
  if (!current.view?.isLive || current.isStill || refreshTimer) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    if (document.hidden) return;
    if (isBusy()) return refresh();
    refreshAt = Date.now();
    show(true);
    return undefined;
  }, Math.max(250, refreshAt + CALM - Date.now()));
}

const follow = new Live((head) => {
  if (head !== current.position) refresh();
}, (state) => {
  live.dataset.state = state;
  live.textContent = { live: "live", waiting: "reconnecting", hidden: "resting" }[state];
});

const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
function setTheme(theme) {
  const named = THEMES.includes(theme) ? theme : "auto";
  if (named === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = named;
  themeButton.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[named];
  themeButton.setAttribute("aria-label", `Colours: ${named}. Change`);
  localStorage.setItem("usage-ledger-theme", named);
}
themeButton.addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(localStorage.getItem("usage-ledger-theme") ?? "auto") + 1) % THEMES.length]));
setTheme(localStorage.getItem("usage-ledger-theme"));

document.getElementById("sign-out").addEventListener("click", () => {
  signOut();
  show();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// Keys 1 to 9 choose a page, / the filter of events.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  const page = PAGES[Number(event.key) - 1];
  if (page) location.hash = `#/${page[0]}`;
  if (event.key === "/") {
    event.preventDefault();
    location.hash = "#/events";
  }
});
addEventListener("hashchange", () => show());
setInterval(() => { if (!document.hidden) refresh(); }, MINUTE);

async function footer() {
  const about = await get("about");
  document.getElementById("footer").replaceChildren(el("p", {}, `usage-ledger ${about.version} · times in ${about.zone} · keys 1 to 9 choose a page · nothing leaves this server`));
  format.setZone(about.zone);
}

show().then(footer).catch(() => {});
