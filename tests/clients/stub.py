"""A server with the APIs of OpenAI and Anthropic, for the clients' tests. The last word of the prompt says what it answers:

`refused` a 429, `broken` a 500 with a `Retry-After`, `cut` a stream that ends early, anything else a normal answer.
"""

import itertools
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

run, numbers = os.urandom(4).hex(), itertools.count(1)
CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}}
RESPONSE_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 27,
}
MESSAGE_USAGE = {"input_tokens": 30, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 9}


def chat(model, number):
    message = {"role": "assistant", "content": "A SECRET ANSWER"}
    head = {"id": f"chatcmpl-{run}-{number}", "created": 1, "model": model}
    whole = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": CHAT_USAGE,
    }

    def chunk(choices, usage=None):
        return {**head, "object": "chat.completion.chunk", "choices": choices, "usage": usage}

    words = [chunk([{"index": 0, "delta": {"content": word}, "finish_reason": None}]) for word in ("A", " SECRET")]
    return whole, [*words, chunk([], CHAT_USAGE), "[DONE]"]


def responses(model, number):
    item = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "A SECRET ANSWER", "annotations": []}],
    }
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "SECRET"}}
    head = {
        "id": f"resp_{run}_{number}",
        "object": "response",
        "created_at": 1,
        "model": model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [],
        "status": "in_progress",
        "instructions": "SECRET instructions",
    }
    whole = {**head, "status": "completed", "output": [search, item], "usage": RESPONSE_USAGE}
    delta = {"type": "response.output_text.delta", "delta": "A SECRET", "item_id": "msg_1", "output_index": 0}
    events = [
        {"type": "response.created", "sequence_number": 0, "response": head},
        {**delta, "sequence_number": 1, "content_index": 0, "logprobs": []},
        {"type": "response.completed", "sequence_number": 2, "response": whole},
    ]
    return whole, events


def messages(model, number):
    head = {
        "id": f"msg_{run}_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_reason": None,
        "stop_sequence": None,
    }
    content = [{"type": "text", "text": "A SECRET ANSWER"}]
    whole = {**head, "content": content, "stop_reason": "end_turn", "usage": MESSAGE_USAGE}
    events = [
        {"type": "message_start", "message": {**head, "content": [], "usage": {**MESSAGE_USAGE, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "A SECRET"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]
    return whole, events


ROUTES = {"/v1/chat/completions": chat, "/v1/responses": responses, "/v1/messages": messages}


class Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = asked.get("input") or asked["messages"][-1]["content"]
        last = str(prompt).split()[-1]
        number = next(numbers)
        if last in ("refused", "broken"):
            status, kind, why = (429, "rate_limit_error", "rate limit reached") if last == "refused" else (500, "api_error", "a fault")
            error = {"type": "error", "error": {"type": kind, "message": f"Number {number}: {why}"}}
            headers = {"retry-after": "120", "request-id": f"req_{run}_{number}", "x-request-id": f"req_{run}_{number}"}
            return self.answer(status, "application/json", json.dumps(error), headers)
        whole, events = ROUTES[self.path](asked["model"], number)
        if not asked.get("stream"):
            return self.answer(200, "application/json", json.dumps(whole), {})
        if self.path == "/v1/chat/completions" and not (asked.get("stream_options") or {}).get("include_usage"):
            events = [event for event in events if isinstance(event, str) or not event["usage"]]
        if last == "cut":
            events = events[:2]
        body = ""
        for event in events:
            named = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
            body += f"{named}data: {event if isinstance(event, str) else json.dumps(event)}\n\n"
        return self.answer(200, "text/event-stream", body, {})

    def answer(self, status, kind, body, headers):
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
