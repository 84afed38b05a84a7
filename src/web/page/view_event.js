// One event, and the proof that it is in the ledger. The page computes every hash itself.

import { get, Refusal } from "./client.js";
import { append, el, name, pre } from "./dom.js";
import * as format from "./format.js";
import { hex, isConsistent, leafHash, rootFromInclusion, unhex } from "./merkle.js";
import { isSigned, readCheckpoint, readVerifier } from "./note.js";
import { command, eventLink, notice, panel } from "./widgets.js";

export const title = "Event";
export const isLive = false;

const SEEN = "usage-ledger-seen";
const KEY = "usage-ledger-key";
const stored = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };

/// Reads the whole line, in parts.
async function wholeLine(position, signal) {
  let [text, from, part] = ["", 0, null];
  while (from !== null) {
    part = await get("line", { event: position, from }, signal);
    text += part.text;
    from = part.next;
  }
  return { ...part, text };
}

const step = (state, text, ...detail) => el("li", { class: `step ${state}` }, el("span", { class: "step-mark", "aria-hidden": "true" }, { good: "✓", bad: "✗", unknown: "?" }[state]),
  el("div", {}, el("p", {}, el("span", { class: "unseen" }, { good: "verified: ", bad: "failed: ", unknown: "not checked: " }[state]), text), detail.length > 0 && el("p", { class: "muted" }, detail)));

/// The line is what the leaf hash is of, and the proof leads from the leaf to the root.
async function inclusion(shown, line) {
  const { proof } = shown;
  if (!proof) return { steps: [step("bad", "The tree of the ledger is damaged.", "usage-ledger verify names the position.")], isGood: false };
  const computed = shown.shredded ? unhex(shown.leaf) : await leafHash(line.text);
  const isLine = hex(computed) === shown.leaf;
  const root = await rootFromInclusion(proof.index, proof.size, computed, proof.hashes.map(unhex));
  const leads = root !== null && hex(root) === proof.root;
  return {
    steps: [
      shown.shredded ? step("unknown", "The text of this event is erased; its hash stays in the tree.", "leaf ", el("code", {}, shown.leaf))
        : step(isLine ? "good" : "bad", isLine ? "The line has the hash that the ledger states for it." : "The line has another hash than the ledger states.", "SHA-256 ", el("code", {}, hex(computed))),
      step(leads ? "good" : "bad", leads ? `${format.counted(proof.hashes.length, "hash", "hashes")} lead from it to the root over ${format.counted(proof.size, "event")}.` : "The proof does not lead to the root.", "root ", el("code", {}, proof.root)),
    ],
    isGood: isLine && leads,
  };
}

/// The root is signed, by the key that this browser knows.
async function signature(proof, about, signal) {
  const pinned = localStorage.getItem(KEY);
  if (!about.verifier) return pinned ? step("bad", "The server signs no longer, but did before.", "Expected ", el("code", {}, pinned)) : step("unknown", "The server signs no checkpoint.", "Start it with a key: ", command("usage-ledger serve --key ledger.key"));
  const note = await get("checkpoint", { size: proof.size }, signal);
  const checkpoint = readCheckpoint(note.note);
  if (checkpoint.size !== proof.size || checkpoint.root !== proof.root) return step("bad", "The checkpoint is of another state than the proof.");
  const verdict = await isSigned(checkpoint, await readVerifier(pinned ?? about.verifier));
  if (verdict === null) return step("unknown", "This browser cannot check Ed25519 signatures here.", "Open the page on localhost in a current browser.");
  if (!verdict) {
    const trust = el("button", { type: "button", class: "quiet" }, "Trust the new key");
    trust.addEventListener("click", () => { localStorage.setItem(KEY, about.verifier); dispatchEvent(new HashChangeEvent("hashchange")); });
    return step("bad", "The checkpoint is not signed by the key that this browser knows.", "Known ", el("code", {}, pinned ?? about.verifier), "; the server states ", el("code", {}, about.verifier), " ", pinned && trust);
  }
  if (!pinned) localStorage.setItem(KEY, about.verifier);
  return step("good", `The root is signed for ${checkpoint.origin}.`, pinned ? "by the key that this browser remembers, " : "by the key that the server states; this browser now remembers it, ", el("code", {}, about.verifier));
}

/// The state continues the one that this browser saw last.
async function continuity(proof, signal) {
  const seen = stored(SEEN);
  const remember = () => localStorage.setItem(SEEN, JSON.stringify({ size: proof.size, root: proof.root, at: new Date().toISOString() }));
  if (!seen) {
    remember();
    return step("unknown", "This browser sees the ledger for the first time and remembers its root.", "From now on it notices a history that was rewritten.");
  }
  const forget = el("button", { type: "button", class: "quiet" }, "Forget the remembered root");
  forget.addEventListener("click", () => { localStorage.removeItem(SEEN); dispatchEvent(new HashChangeEvent("hashchange")); });
  let holds = false;
  if (seen.size <= proof.size) {
    const answer = await get("proofs/consistency", { old: seen.size, new: proof.size }, signal);
    holds = await isConsistent(seen.size, unhex(seen.root), proof.size, unhex(proof.root), answer.hashes.map(unhex));
  }
  const when = `${format.grouped(seen.size)} events, seen at ${format.time(seen.at)}`;
  if (!holds) return step("bad", "The ledger does not continue what this browser saw: the history was rewritten, or it is another ledger.", `remembered: ${when} `, forget);
  remember();
  return step("good", "The ledger continues what this browser saw earlier.", when);
}

function facts(shown, event) {
  const state = shown.void ? "withdrawn" : shown.amended ? ["as amended at ", eventLink(shown.counts_as.position)] : shown.holds ? "in effect" : "not in effect: its record is missing, withdrawn, or amended later";
  const rows = [["Kind", format.kindName(event.kind)], ["Happened", format.fullTime(event.occurred_at)], ["Recorded", format.fullTime(event.recorded_at)], ["Source", name(event.source)], ["State", state], ["Id", el("code", {}, event.id)]];
  if (shown.shredded) rows.push(["Erased", ["by ", eventLink(shown.shredded.position), shown.shredded.reason ? [": ", name(shown.shredded.reason)] : ""]]);
  return el("dl", { class: "facts" }, rows.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, value))));
}

export async function load(parameters, signal) {
  if (!parameters.path) throw new Refusal(404, { detail: "No event is named.", remedy: "Choose one from the list of events." });
  const [shown, about] = await Promise.all([get("show", { event: parameters.path }, signal), get("about", {}, signal)]);
  format.setZone(about.zone);
  const [line, summary] = await Promise.all([wholeLine(shown.position, signal), get("summaries", { position: shown.position }, signal)]);
  const event = summary.events[0];
  const { steps, isGood } = await inclusion(shown, line);
  const later = el("ol", { class: "steps", id: "steps" }, steps);
  const verdict = el("p", { class: `verdict ${isGood ? "good" : "bad"}`, id: "verdict" }, isGood ? "This page verified that the event is in the ledger." : "The proof failed.");
  if (shown.proof) {
    for (const check of [() => signature(shown.proof, about, signal), () => continuity(shown.proof, signal)]) {
      let result;
      try {
        result = await check();
      } catch (error) {
        if (error.name === "AbortError") throw error;
        result = step("bad", "A check failed.", error.message);
      }
      append(later, [result]);
    }
    if (later.querySelector(".bad")) {
      verdict.className = "verdict bad";
      verdict.textContent = isGood ? "The event is in the tree, but a check failed." : "The proof failed.";
    }
  }
  let text = line.text;
  try { text = line.text.length < 200000 ? JSON.stringify(JSON.parse(line.text), null, 2) : line.text; } catch { /* shown as it is */ }
  const neighbour = (position, label) => el("a", { href: `#/event/${position}`, class: "button quiet", rel: label === "Previous" ? "prev" : "next", id: `to-${label}` }, label);
  const content = [
    el("div", { class: "title-row" }, el("h2", { class: "title" }, `Event #${shown.position}`), el("nav", { class: "pager", "aria-label": "Neighbours" },
      shown.position > 1 && neighbour(shown.position - 1, "Previous"), shown.position < summary.head && neighbour(shown.position + 1, "Next"), el("a", { href: "#/events", class: "button quiet" }, "All events"))),
    el("p", { class: "lead" }, el("bdi", {}, event.summary)),
    facts(shown, event),
    panel("Proof", null, verdict, later, el("details", { id: "path" }, el("summary", {}, "The hashes of the proof"), pre((shown.proof?.hashes ?? []).join("\n") || "none: the tree has one leaf"))),
    shown.amended && shown.counts_as && panel("It counts as", null, pre(JSON.stringify(shown.counts_as.record, null, 2))),
    line.shredded && notice("warn", "The text below is what remains after the erasure.", null),
    panel("Line", el("span", { class: "muted" }, format.bytes(line.bytes)), pre(text)),
  ];
  return { content, position: summary.head, heading: `Event #${shown.position}` };
}
