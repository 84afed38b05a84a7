// Requests to the HTTP API. All of them are GET: the page changes nothing.

const TOKEN = "usage-ledger-token";

/// A refusal of the server, with its remedy.
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || `the server answered with status ${status}`);
    this.status = status;
    this.title = problem.title || "The request failed";
    this.remedy = problem.remedy || "";
    this.candidates = problem.candidates || [];
  }
}

// The token lives as long as the tab.
export const token = () => sessionStorage.getItem(TOKEN);
export const signIn = (text) => sessionStorage.setItem(TOKEN, text);
export const signOut = () => sessionStorage.removeItem(TOKEN);

export function authorization() {
  const known = token();
  return known ? { authorization: `Bearer ${known}` } : {};
}

/// Writes parameters; lists repeat the name, empty values are left out.
export function query(parameters) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") search.append(key, one);
    }
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}

/// Asks an operation and returns its answer.
export async function get(operation, parameters = {}, signal = undefined) {
  let response;
  try {
    // The browser keeps answers and asks with their entity tags, so an answer that is current is not sent again.
    response = await fetch(`/api/v1/${operation}${query(parameters)}`, { headers: authorization(), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, {
      title: "The server does not answer",
      detail: "The server does not answer.",
      remedy: "Start it again: usage-ledger serve. The page then continues by itself.",
    });
  }
  let body = {};
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (!response.ok) throw new Refusal(response.status, body);
  return body;
}
