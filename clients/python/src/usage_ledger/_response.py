"""Reads what a provider's SDK returns or raises. No SDK is imported: any object of the same shape will do."""

import json
import uuid
from collections.abc import Iterable
from typing import Any, cast

from ._types import FormatName

#: Members that the ledger reads as texts. Every other text is left out, so no prompt and no completion leaves the program.
TEXTS = frozenset(
    "type id model object role status service_tier created_at responseId modelVersion RequestId".split()
)
#: Members that are kept whole, because the ledger keeps a usage object as the provider sent it.
WHOLE = frozenset(("usage", "usageMetadata"))
#: APIs with the shapes of OpenAI's, which count in their own way.
LIKE_OPENAI: dict[str, FormatName] = {"deepseek": "deepseek", "mistral": "mistral", "xai": "xai"}
#: Number of chunks with usage that are kept of a stream: the first and the last ones.
CHUNKS = 64


def is_stream(response: object) -> bool:
    """Whether a response arrives in chunks."""
    if isinstance(response, dict | str | bytes) or hasattr(response, "model_dump"):
        return False
    return hasattr(response, "__next__") or hasattr(response, "__anext__")


def document(response: Any) -> dict[str, Any]:
    """The JSON of a response or chunk, without its texts."""
    if isinstance(response, str | bytes):
        response = json.loads(response)
    elif hasattr(response, "model_dump"):
        response = response.model_dump(mode="json", by_alias=True, exclude_unset=True)
    elif hasattr(response, "http_response") and hasattr(response, "parse"):
        return document(response.parse())
    if not isinstance(response, dict):
        raise TypeError(f"{type(response).__name__} is no response: give a response of an SDK, or its JSON as a dict")
    return cast(dict[str, Any], without_texts(response))


def without_texts(value: Any) -> Any:
    """A value without texts that may be content. Numbers and the form are kept."""
    if isinstance(value, dict):
        return {
            name: part if name in WHOLE else without_texts(part)
            for name, part in value.items()
            if not isinstance(part, str) or name in TEXTS
        }
    if isinstance(value, list):
        return ["-" if isinstance(part, str) else without_texts(part) for part in value]
    return value


def has_usage(document: dict[str, Any]) -> bool:
    """Whether a chunk reports tokens."""
    inner = (document.get(name) for name in ("message", "response", "metadata", "x_groq"))
    parts = [document, *inner, *(document.get("choices") or [])]
    parts = [part for part in parts if isinstance(part, dict)]
    return any(part.get(name) for part in parts for name in WHOLE) or "eval_count" in document


def format_of(document: dict[str, Any], provider: str) -> FormatName:
    """The API of a response."""
    kind, shape = str(document.get("object", "")), str(document.get("type", ""))
    usage = document.get("usage") or {}
    if "usageMetadata" in document:
        return "gemini"
    if "eval_count" in document or "done" in document:
        return "ollama"
    if shape.startswith("message") or "cache_read_input_tokens" in usage:
        return "anthropic"
    if "inputTokens" in usage or "metadata" in document and "usage" in (document["metadata"] or {}):
        return "bedrock"
    if kind == "response" or shape.startswith("response.") or "input_tokens" in usage:
        return LIKE_OPENAI.get(provider, "openai-responses")
    if kind or "prompt_tokens" in usage or "choices" in document:
        return LIKE_OPENAI.get(provider, "openai-chat")
    raise ValueError("the API of this response is not known: give `format` to `call`")


class Chunks:
    """The chunks of a stream that report tokens, and the first one, which names the call."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self.reports_usage = False

    def add(self, chunk: object) -> None:
        if not (isinstance(chunk, dict) or hasattr(chunk, "model_dump")):
            return
        one = document(chunk)
        is_report = has_usage(one)
        if is_report or not self._kept:
            self._kept.append(one)
            self.reports_usage |= is_report
        if len(self._kept) > CHUNKS:
            del self._kept[1]

    def body(self, format: FormatName | None, provider: str) -> dict[str, Any]:
        """The fields of a record."""
        return {
            "format": format or format_of(self._kept[0], provider),
            "response": "\n".join(json.dumps(chunk) for chunk in self._kept),
        }


def body(response: object, format: FormatName | None, provider: str) -> dict[str, Any]:
    """The fields of a record of a whole response. A response without an id gets a key, so that a retry finds it."""
    one = document(response)
    fields: dict[str, Any] = {"format": format or format_of(one, provider), "response": one}
    if not any(one.get(name) for name in ("id", "responseId", "ResponseMetadata")):
        fields["key"] = str(uuid.uuid4())
    return fields


def refusal(error: BaseException | None) -> dict[str, Any] | None:
    """The text of an HTTP error that may be a refusal, and a key of the refused request; None for another error."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None) or getattr(error, "code", None)
    # A server that is overloaded or at fault refuses nobody's quota.
    if error is None or not isinstance(status, int) or not 400 <= status < 500:
        return None
    headers = getattr(response, "headers", None) or {}
    lines: Iterable[str] = (f"{name}: {headers[name]}" for name in ("Retry-After",) if name in headers)
    content = getattr(response, "text", None)
    if not isinstance(content, str):
        content = str(error)
    reason = " Too Many Requests" if status == 429 else ""
    named = getattr(error, "request_id", None)
    return {
        "text": "\n".join([f"HTTP {status}{reason}", *lines, content]),
        "stream": "stderr",
        "key": named if isinstance(named, str) and named else str(uuid.uuid4()),
    }
