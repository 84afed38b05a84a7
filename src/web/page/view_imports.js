// What importers read and skipped, and the problems that the ledger shows.

import { get } from "./client.js";
import { el, name } from "./dom.js";
import * as format from "./format.js";
import { command, eventLink, muted, notice, panel, table } from "./widgets.js";

export const title = "Imports";
export const isLive = true;

function about(finding) {
  if (finding.event !== undefined) return eventLink(finding.event);
  if (finding.provider !== undefined) return el("a", { href: `#/provider/${encodeURIComponent(finding.provider)}` }, name(finding.provider));
  return name(finding.source);
}

const remedy = (text) => (/^usage-ledger [^,…]+$/.test(text) ? command(text) : el("code", {}, text));

function skipped(runs) {
  const rows = runs.flatMap((run) => run.reasons.map((reason) => [
    name(run.source), el("bdi", {}, reason.why), format.grouped(reason.lines), reason.loses_counts ? el("span", { class: "chip bad" }, "may lack tokens") : "no tokens lost",
    el("bdi", { title: reason.file }, `${format.shortProject(reason.file)}${reason.line > 0 ? `:${reason.line}` : ""}`), eventLink(run.position)]));
  if (rows.length === 0) return muted("No line was skipped in these runs.");
  return table("Skipped lines by reason", [["Source", ""], ["Reason", "grow"], ["Lines", "num"], ["Effect", ""], ["First", ""], ["Run", "num"]], rows);
}

export async function load(parameters, signal) {
  const [warnings, imports, program] = await Promise.all([get("warnings", {}, signal), get("imports", { before: parameters.before }, signal), get("about", {}, signal)]);
  format.setZone(program.zone);
  const stale = warnings.changed_logs > 0;
  const content = [
    panel("Warnings", null,
      stale && notice("warn", `${format.counted(warnings.changed_logs, "log")} changed since the last import.`, command("usage-ledger import")),
      warnings.findings.map((finding) => notice("warn", [about(finding), ": ", name(finding.what)], remedy(finding.remedy))),
      !stale && warnings.findings.length === 0 && muted("Nothing to be found. ", el("code", {}, "usage-ledger doctor"), " also looks for logs that agents delete soon.")),
    panel("Imports", null,
      imports.runs.length > 0 ? table("Runs of importers, the latest first", [["Run", "num"], ["Time", ""], ["Source", ""], ["Files", "num"], ["Read", "num"], ["Recorded", "num"], ["Known", "num"], ["Corrected", "num"], ["Skipped", "num"]],
        imports.runs.map((run) => [eventLink(run.position), el("span", { class: "mono nowrap" }, format.time(run.at)), name(run.source), format.grouped(run.files), format.bytes(run.bytes), format.grouped(run.recorded), format.grouped(run.duplicates), format.grouped(run.amended),
          run.skipped > 0 ? el("strong", {}, format.grouped(run.skipped)) : "0"])) : [muted("Nothing was imported yet."), el("p", {}, command("usage-ledger import"))],
      (parameters.before || imports.next !== null) && el("nav", { class: "pager", "aria-label": "Pages of imports" }, parameters.before && el("a", { href: "#/imports", class: "button quiet" }, "Latest"), imports.next !== null && el("a", { href: `#/imports?before=${imports.next}`, class: "button", id: "older" }, "Older"))),
    panel("Skipped lines", null, skipped(imports.runs)),
  ];
  return { content, position: imports.head, isStill: Boolean(parameters.before) };
}
