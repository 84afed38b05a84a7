import { randomUUID } from "node:crypto";
import type { FormatName } from "./types.js";

/** JSON of a provider. */
export type Json = { [name: string]: unknown };

/** Members that the ledger reads as texts. Every other text is left out, so no prompt and no completion leaves the program. */
const TEXTS = new Set(
  "type id model object role status service_tier created_at responseId modelVersion RequestId".split(" "),
);
/** Members that are kept whole, because the ledger keeps a usage object as the provider sent it. */
const WHOLE = new Set(["usage", "usageMetadata"]);
/** APIs with the shapes of OpenAI's, which count in their own way. */
const LIKE_OPENAI: Record<string, FormatName> = { deepseek: "deepseek", mistral: "mistral", xai: "xai" };
/** Number of chunks with usage that are kept of a stream: the first and the last ones. */
const CHUNKS = 64;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a response arrives in chunks. */
export function isStream(response: unknown): response is AsyncIterable<unknown> {
  return typeof response === "object" && response !== null && Symbol.asyncIterator in response;
}

/** The JSON of a response or chunk, without its texts. */
function document(response: unknown): Json {
  const one: unknown = typeof response === "string" ? JSON.parse(response) : response;
  if (!isObject(one)) throw new TypeError("this is no response: give a response of an SDK, or its JSON");
  return withoutTexts(one) as Json;
}

function withoutTexts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((part) => (typeof part === "string" ? "-" : withoutTexts(part)));
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, part]) => typeof part !== "string" || TEXTS.has(name));
  return Object.fromEntries(kept.map(([name, part]) => [name, WHOLE.has(name) ? part : withoutTexts(part)]));
}

/** Whether a chunk reports tokens. */
function hasUsage(chunk: Json): boolean {
  const inner = ["message", "response", "metadata", "x_groq"].map((name) => chunk[name]);
  const choices = Array.isArray(chunk["choices"]) ? chunk["choices"] : [];
  const parts = [chunk, ...inner, ...choices].filter(isObject);
  return parts.some((part) => [...WHOLE].some((name) => part[name])) || "eval_count" in chunk;
}

/** The API of a response. */
function formatOf(one: Json, provider: string): FormatName {
  const [kind, shape] = [String(one["object"] ?? ""), String(one["type"] ?? "")];
  const usage = isObject(one["usage"]) ? one["usage"] : {};
  if ("usageMetadata" in one) return "gemini";
  if ("eval_count" in one || "done" in one) return "ollama";
  if (shape.startsWith("message") || "cache_read_input_tokens" in usage) return "anthropic";
  if ("inputTokens" in usage || (isObject(one["metadata"]) && "usage" in one["metadata"])) return "bedrock";
  if (kind === "response" || shape.startsWith("response.") || "input_tokens" in usage) {
    return LIKE_OPENAI[provider] ?? "openai-responses";
  }
  if (kind || "prompt_tokens" in usage || "choices" in one) return LIKE_OPENAI[provider] ?? "openai-chat";
  throw new TypeError("the API of this response is not known: give `format` to `call`");
}

/** The fields of a record that a response states. */
export interface Body {
  format: FormatName;
  response: Json | string;
  key?: string;
}

/** The fields of a record of a whole response. A response without an id gets a key, so that a retry finds it. */
export function bodyOf(response: unknown, format: FormatName | undefined, provider: string): Body {
  const one = document(response);
  const body: Body = { format: format ?? formatOf(one, provider), response: one };
  const hasId = ["id", "responseId", "ResponseMetadata"].some((name) => one[name]);
  return hasId ? body : { ...body, key: randomUUID() };
}

/** The chunks of a stream that report tokens, and the first one, which names the call. */
export class Chunks {
  #kept: Json[] = [];
  reportsUsage = false;

  add(chunk: unknown): void {
    if (!isObject(chunk)) return;
    const one = document(chunk);
    const isReport = hasUsage(one);
    if (isReport || this.#kept.length === 0) this.#kept.push(one);
    this.reportsUsage ||= isReport;
    if (this.#kept.length > CHUNKS) this.#kept.splice(1, 1);
  }

  body(format: FormatName | undefined, provider: string): Body {
    const response = this.#kept.map((chunk) => JSON.stringify(chunk)).join("\n");
    return { format: format ?? formatOf(this.#kept[0] ?? {}, provider), response };
  }
}

/** The text of an HTTP error that may be a refusal, and a key of the refused request. */
export function refusalOf(error: unknown): { text: string; stream: "stderr"; key: string } | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { status, headers, error: body, requestID } = error as Json;
  // A server that is overloaded or at fault refuses nobody's quota.
  if (typeof status !== "number" || status < 400 || status >= 500) return undefined;
  const after = headers instanceof Headers ? headers.get("retry-after") : isObject(headers) ? headers["retry-after"] : null;
  const lines = [`HTTP ${status}${status === 429 ? " Too Many Requests" : ""}`];
  if (typeof after === "string") lines.push(`Retry-After: ${after}`);
  // OpenAI's SDK unwraps the error of the body.
  lines.push(body === undefined ? String(error) : JSON.stringify(isObject(body) && "error" in body ? body : { error: body }));
  const key = typeof requestID === "string" && requestID ? requestID : randomUUID();
  return { text: lines.join("\n"), stream: "stderr", key };
}
