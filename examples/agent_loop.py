"""An agent loop that asks the ledger before each call and records what the call used.

Run `usage-ledger serve`, then this file with the addresses of the ledger and of a server with the API of OpenAI.
"""
import json, sys, time
from urllib.request import Request, urlopen

ledger, model_server = sys.argv[1], sys.argv[2]


def send(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"content-type": "application/json"}), timeout=60) as answer:
        return json.load(answer)


for prompt in ["Plan the work.", "Do it.", "Review it."]:
    verdict = send(f"{ledger}/api/v1/gate?provider=openai&model=gpt-5")
    while verdict["gated"]:
        print("waiting:", verdict["reason"])
        time.sleep(60)
        verdict = send(f"{ledger}/api/v1/gate?provider=openai&model=gpt-5")
    messages = [{"role": "user", "content": prompt}]
    response = send(f"{model_server}/v1/chat/completions", {"model": "gpt-5", "messages": messages})
    # The response's own id is the key, so a repeated request records the call once. The ledger keeps no text.
    response.pop("choices")
    call = {"format": "openai-chat", "response": response, "agent": "my-agent", "project": "acme"}
    receipt = send(f"{ledger}/api/v1/record", call)
    print(verdict["mode"], response["usage"]["total_tokens"], "tokens at position", receipt["positions"][0])
