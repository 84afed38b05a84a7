// Projects and models: who used what.

import { matrix } from "./chart_matrix.js";
import { get } from "./client.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { choices, muted, panel } from "./widgets.js";
import { shares } from "./view_provider.js";

export const title = "Projects";
export const isLive = true;

const DAYS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "A year"]];
const UNITS = [["cost", "Cost"], ["tokens", "Tokens"]];
const COLUMNS = [["model", "Model"], ["agent", "Agent"], ["provider", "Provider"]];

/// Names of models without the date of their release.
const shortModel = (text) => text.replace(/-\d{8}$/, "");

export async function load(parameters, signal) {
  const [days, unit, by] = [parameters.days ?? "30", parameters.unit ?? "cost", parameters.by ?? "model"];
  const [figure, projects] = await Promise.all([
    get("figure", { by: ["project", by], days, unit }, signal),
    get("report", { by: "project", days, sort: "cost", top: 50 }, signal),
  ]);
  const link = (change) => `#/projects?${new URLSearchParams({ days, unit, by, ...change })}`;
  const total = figure.total;
  const content = [
    panel(`Project × ${by}`, [
      choices("columns", by, COLUMNS.map(([key, text]) => [key, text, link({ by: key })])),
      choices("unit", unit, UNITS.map(([key, text]) => [key, text, link({ unit: key })])),
      choices("days", days, DAYS.map(([key, text]) => [key, text, link({ days: key })]))],
    matrix(`${unit} by project and ${by}`, figure, { rowName: (text) => (text === "-" ? "no project" : format.shortProject(text)), columnName: shortModel }),
    unit === "cost" && total.cost.unpriced_requests > 0 && muted(`${format.counted(total.cost.unpriced_requests, "request")} without a known price are not in these sums.`)),
    panel("Projects", null, projects.rows.length > 0
      ? shares("Projects by cost", "project", projects, (project) => `#/events?${new URLSearchParams({ kind: "tokens_recorded", project })}`, format.shortProject)
      : muted("Nothing was used in this time."), projects.rows.length === 50 && el("p", { class: "muted" }, "The 50 largest are shown.")),
  ];
  return { content, position: figure.position };
}
