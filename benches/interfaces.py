"""What a question costs through each interface, in milliseconds: median and 95th percentile.

    python3 benches/interfaces.py PATH_OF_USAGE_LEDGER [CALLS]

The ledger has 100,000 calls. `docs/interfaces.md` prints the table. The library is measured by the benchmarks in Rust.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

command, calls = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100
RECORDS = 100_000
GATE, REPORT = {"provider": "anthropic"}, {"by": ["day", "model"]}


def record(number):
    return {"provider": "anthropic", "model": "claude-opus-4-5", "input": 120, "output": 40, "key": f"k{number}"}


def check(line):
    """Fails for an error. It runs after the time is taken."""
    answer = json.loads(line)
    assert "error" not in answer and not answer["result"].get("isError"), answer


class Lines:
    """A process that answers one line for each line."""

    def __init__(self, *arguments):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([command, *arguments], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def ask(self, method, params, **more):
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **more})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Mcp(Lines):
    def __init__(self):
        super().__init__("mcp", "--allow-record")
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        check(self.ask("initialize", client))
        self.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def call(self, tool, arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments})


class Http:
    def __init__(self):
        self.process = subprocess.Popen(
            [command, "--json", "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        address = json.loads(self.process.stdout.readline())["listening"].removeprefix("http://")
        self.connection = http.client.HTTPConnection(address)

    def send(self, method, path, body=None):
        headers = {"content-type": "application/json"} if body else {}
        self.connection.request(method, f"/api/v1/{path}", json.dumps(body) if body else None, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    def close(self):
        self.process.terminate()
        self.process.wait()


def run(*arguments, text=None):
    done = subprocess.run([command, *arguments], input=text, capture_output=True, text=True)
    assert done.returncode in (0, 75), done.stderr


def measure(ask):
    times = []
    for number in range(calls):
        started = time.perf_counter()
        answer = ask(number)
        times.append((time.perf_counter() - started) * 1000)
        if answer is not None:
            check(answer)
    times.sort()
    return f"{statistics.median(times):.1f} ({times[int(len(times) * 0.95)]:.1f})"


with tempfile.TemporaryDirectory() as directory:
    os.environ.update(HOME=directory, USAGE_LEDGER=f"{directory}/usage.db", TZ="UTC")
    lines = (
        json.dumps(record(number) | {"occurred_at": f"2026-{1 + number % 10:02}-{1 + number % 28:02}T10:00:00Z"})
        for number in range(RECORDS)
    )
    run("record", "--jsonl", "-", text="\n".join(lines))
    rpc, mcp, http_api = Lines("rpc"), Mcp(), Http()
    new = iter(range(RECORDS, 10 * RECORDS))
    rows = {
        "command": (
            lambda _: run("record", "--provider", "anthropic", "--input", "120", "--key", f"k{next(new)}"),
            lambda _: run("--json", "gate", "anthropic"),
            lambda _: run("--json", "report", "--by", "day,model"),
        ),
        "HTTP": (
            lambda _: http_api.send("POST", "record", record(next(new))),
            lambda _: http_api.send("GET", "gate?provider=anthropic"),
            lambda _: http_api.send("GET", "report?by=day&by=model"),
        ),
        "stdio": (
            lambda _: rpc.ask("record", record(next(new))),
            lambda _: rpc.ask("gate", GATE),
            lambda _: rpc.ask("report", REPORT),
        ),
        "MCP": (
            lambda _: mcp.call("record", record(next(new))),
            lambda _: mcp.call("gate", GATE),
            lambda _: mcp.call("report", REPORT),
        ),
        "SQL": (
            None,
            None,
            lambda _: run("sql", "select date(occurred_at), model, sum(total), sum_usd(usd) from calls group by 1, 2"),
        ),
        "exports": (None, None, lambda _: run("export", "--format", "csv", "--output", f"{directory}/calls.csv")),
    }
    print("| interface | record one call | gate | report by day and model |\n|---|---|---|---|")
    for name, asks in rows.items():
        print(f"| {name} | {' | '.join(measure(ask) if ask else '–' for ask in asks)} |", flush=True)
    for process in (rpc, mcp, http_api):
        process.close()
