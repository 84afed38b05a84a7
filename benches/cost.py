#!/usr/bin/env python3
"""Tabulates the time and memory of every command at several sizes of ledger, with the exponent of growth.

    benches/cost.py PROGRAM [--events 10000,100000,1000000] [--seed 1] [--runs 5] [--directory DIR]
    benches/cost.py PROGRAM --logs HOME,HOME… [--runs 5] [--directory DIR]

PROGRAM is a release build of usage-ledger. The ledgers are generated from the seed: keyed and labelled events, one a second. Each command runs as
a whole process, --runs times or once if it takes over 5 seconds. The table has the processor time (user and system) of the fastest run and the largest memory. Processor time is reported because other work on the
machine does not change it much. The largest ledger then receives records
from single processes and telemetry from several senders; these figures are wall times. The memory is never below that of this script (20 MiB). The exponent is the logarithm of the ratio of two times divided by that of the two sizes: 0 for a command
that does not depend on the size, 1 for a command that is proportional to it. The time of a process that does nothing is subtracted first.

With --logs, it imports the agents' logs in each home directory into a new ledger, and once more. `benches/import.rs` writes such home directories:
`target/tmp/bench-logs-MB`.
"""

import argparse
import datetime
import json
import math
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

START = 1_780_000_000
MODELS = [
    ("anthropic", "claude-code", "claude-opus-4-5-20251101"),
    ("anthropic", "claude-code", "claude-sonnet-4-5-20250929"),
    ("openai", "codex", "gpt-5-codex"),
    ("openai", "codex", "gpt-5"),
    ("anthropic", "claude-code", "claude-haiku-4-5-20251001"),
]


def stamp(seconds):
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def lines(count, seed):
    numbers = random.Random(seed)
    for number in range(count):
        provider, agent, model = MODELS[numbers.randrange(len(MODELS))]
        yield json.dumps({
            "provider": provider, "model": model, "agent": agent,
            "input": numbers.randrange(300), "output": numbers.randrange(2_000), "cache_read": numbers.randrange(50_000),
            "key": "msg_%032x" % numbers.getrandbits(128),
            "occurred_at": stamp(START + number + numbers.random() * 0.9),
            "project": "/home/dev/src/project-%d" % (number // 500 % 25),
            "conversation": "c0ffee00-0000-4000-8000-%012d" % (number // 150),
            "labels": {"mission": "m%d" % (number // 150 % 40)},
        }, separators=(",", ":")) + "\n"


def run(arguments, given=None, environment=None):
    """The processor time in milliseconds, the wall time and the memory in MiB of one process."""
    null = os.open(os.devnull, os.O_WRONLY)
    begin = time.monotonic()
    process = subprocess.Popen(arguments, stdin=given or subprocess.DEVNULL, stdout=null, stderr=subprocess.PIPE, env=environment)
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    os.close(null)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 75):
        sys.exit("%s: exit code %d\n%s" % (" ".join(arguments), process.returncode, said.decode(errors="replace")))
    return (used.ru_utime + used.ru_stime) * 1_000, wall * 1_000, used.ru_maxrss / 1_024


def generate(program, path, count, seed):
    """A ledger, recorded in parts, so that `recorded_at` follows the events. Returns the processor time."""
    part, begun, total = 100_000, 0, 0.0
    source = lines(count, seed)
    while begun < count:
        size = min(part, count - begun)
        with tempfile.TemporaryFile("w+") as given:
            given.writelines(next(source) for _ in range(size))
            given.flush()
            os.lseek(given.fileno(), 0, os.SEEK_SET)
            now = stamp(START + begun + size)
            total += run([program, "--ledger", path, "--now", now, "record", "--jsonl", "-"], given)[0]
        begun += size
    limit = ["limit", "set", "anthropic", "--session", "500000000", "--weekly", "5000000000"]
    run([program, "--ledger", path, "--now", stamp(START + count), *limit])
    return total


def length_of_lines(program, path):
    export = subprocess.Popen([program, "--ledger", path, "export", "--format", "events"], stdout=subprocess.PIPE)
    length = 0
    while part := export.stdout.read(1 << 16):
        length += len(part)
    export.wait()
    return length


def commands(count):
    middle, last = count // 2, START + count
    cut = ["--since", stamp(last - 3_607.5), "--until", stamp(last - 7.5)]
    return [
        ("status", ["status"]),
        ("statusline", ["statusline"]),
        ("gate", ["gate", "anthropic"]),
        ("report by day", ["report", "--by", "day"]),
        ("report by hour", ["report", "--by", "hour"]),
        ("report by day, Kathmandu", ["--tz", "Asia/Kathmandu", "report", "--by", "day"]),
        ("report by window", ["report", "--by", "window"]),
        ("report by model, a cut hour", ["report", "--by", "model", *cut]),
        ("report by label", ["report", "--by", "label:mission"]),
        ("report by conversation", ["report", "--by", "conversation"]),
        ("log, a kind that is absent", ["log", "--kind", "paused", "--limit", "20"]),
        ("log, a project", ["log", "--project", "/home/dev/src/project-3", "--limit", "20"]),
        ("status as of the middle", ["--as-of", str(middle), "status"]),
        ("report by day as of the middle", ["--as-of", str(middle), "report", "--by", "day"]),
        ("report by window as of the middle", ["--as-of", str(middle), "report", "--by", "window"]),
        ("report by conversation as of the middle", ["--as-of", str(middle), "report", "--by", "conversation"]),
        ("report by day as of nine tenths", ["--as-of", str(count * 9 // 10), "report", "--by", "day"]),
        ("replay", ["replay"]),
        ("verify", ["verify"]),
        ("export csv", ["export", "--format", "csv"]),
        ("export focus", ["export", "--format", "focus"]),
        ("report by conversation, ccusage", ["report", "--by", "conversation", "--format", "ccusage"]),
        ("report by model of a label", ["report", "--by", "model", "--label", "mission=m3"]),
    ]


def request(number, records):
    """A request with log records, each a call of its own."""
    items = []
    for index in range(records):
        unique = number * records + index
        attributes = {"event.name": "codex.sse_event", "conversation.id": "bench-%d" % (unique // 500), "model": "gpt-5",
                      "input_token_count": str(unique % 30_000), "output_token_count": str(unique % 700)}
        items.append({
            "timeUnixNano": "%d" % ((START * 1_000 + unique) * 1_000_000),
            "attributes": [{"key": key, "value": {"stringValue" if "count" not in key else "intValue": value}}
                           for key, value in attributes.items()],
        })
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": items}]}]}, separators=(",", ":")).encode()
    head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return (head % len(body)).encode() + body


def answer(connection):
    """Reads one answer, which must be a success."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(4_096)
    head, body = text.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(4_096)
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(text.decode(errors="replace"))


def send(address, requests, pipe):
    """Sends requests over one connection, one after the other, and writes how long each took."""
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        for one in requests:
            begin = time.monotonic()
            connection.sendall(one)
            answer(connection)
            took.append(time.monotonic() - begin)
    pipe.send(took)


def telemetry(program, path):
    """Requests and records each second over loopback, and latencies, for several numbers of senders."""
    server = subprocess.Popen([program, "--ledger", path, "--json", "serve", "--otlp", "--listen", "127.0.0.1:0"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    url = json.loads(server.stdout.readline())["listening"]
    host, port = url.removeprefix("http://").rsplit(":", 1)
    print("\n| senders | records per request | requests/s | records/s | median | 99th percentile | server CPU |")
    print("|---|---|---|---|---|---|---|")
    first = 0
    for senders, records, count in [(1, 1, 2_000), (8, 1, 8_000), (32, 1, 16_000), (64, 1, 32_000), (1, 100, 300), (8, 100, 600), (64, 1, 32_000)]:
        each = count // senders
        pipes, processes = [], []
        for number in range(senders):
            requests = [request(first + number * each + index, records) for index in range(each)]
            ours, theirs = multiprocessing.Pipe(False)
            process = multiprocessing.Process(target=send, args=((host, int(port)), requests, theirs))
            pipes.append(ours)
            processes.append(process)
        # Numbers of calls are never used again.
        first += (count + 1) * 100
        cpu = sum(map(int, open("/proc/%d/stat" % server.pid).read().rsplit(")", 1)[1].split()[11:13]))
        begin = time.monotonic()
        for process in processes:
            process.start()
        took = sorted(one for pipe in pipes for one in pipe.recv())
        wall = time.monotonic() - begin
        for process in processes:
            process.join()
        cpu = sum(map(int, open("/proc/%d/stat" % server.pid).read().rsplit(")", 1)[1].split()[11:13])) - cpu
        print("| %d | %d | %.0f | %.0f | %.1f ms | %.1f ms | %.0f us a request |" % (
            senders, records, len(took) / wall, len(took) * records / wall, took[len(took) // 2] * 1_000,
            took[len(took) * 99 // 100] * 1_000, cpu * 10_000 / len(took)), flush=True)
    server.terminate()
    server.wait()


def writers(program, path):
    """One `record` after the other, and 64 at once: the wall time of each process."""
    def arguments(number):
        return [program, "--ledger", path, "record", "--provider", "openai", "--input", "1", "--key", "writer-%d" % number]
    alone = sorted(run(arguments(number))[1] for number in range(30))
    cpu = min(run(arguments(number))[0] for number in range(100, 130))
    waits = []
    for round in range(5):
        begin = time.monotonic()
        started = [subprocess.Popen(arguments(1_000 + 100 * round + number), stdout=subprocess.DEVNULL) for number in range(64)]
        left = {process.pid for process in started}
        while left:
            pid, _ = os.wait()
            if pid in left:
                left.remove(pid)
                waits.append((time.monotonic() - begin) * 1_000)
    waits.sort()
    print("\n| `record` | median | 99th percentile |\n|---|---|---|")
    print("| alone (%.1f ms of CPU) | %.1f ms | %.1f ms |" % (cpu, alone[len(alone) // 2], alone[-1]))
    print("| 64 at once, since the first was started | %.0f ms | %.0f ms |" % (waits[len(waits) // 2], waits[len(waits) * 99 // 100]))


def imports(program, homes, runs, directory):
    """A first import of the logs in each home directory, and one that finds nothing new."""
    rows = []
    for home in homes:
        size = sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(home) for name in names)
        environment = {"HOME": home, "PATH": os.environ["PATH"]}
        first, again = [], []
        for _ in range(runs):
            with tempfile.TemporaryDirectory(dir=directory) as place:
                command = [program, "--ledger", os.path.join(place, "usage.db"), "import"]
                first.append(run(command, environment=environment))
                again.append(run(command, environment=environment))
        least = lambda measured: (min(one[0] for one in measured), min(one[1] for one in measured), max(one[2] for one in measured))
        rows.append((size, least(first), least(again)))
    print("\n| logs | first import | exponent | nothing new | exponent |\n|---|---|---|---|---|")
    for number, (size, *kinds) in enumerate(rows):
        cells = ["%.0f MB" % (size / 1e6)]
        for kind, measured in enumerate(kinds):
            cells.append("%.0f ms CPU, %.0f ms, %.0f MiB" % measured)
            if number:
                size_before, *before = rows[number - 1]
                cells.append("%.2f" % (math.log(measured[0] / before[kind][0]) / math.log(size / size_before)))
            else:
                cells.append("-")
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--events", default="10000,100000,1000000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--directory")
    parser.add_argument("--logs")
    asked = parser.parse_args()
    if asked.logs:
        return imports(asked.program, asked.logs.split(","), asked.runs, asked.directory)
    sizes = [int(size) for size in asked.events.split(",")]
    rows, order, generated = {}, [], []
    for size in sizes:
        # One ledger at a time, and none is left.
        with tempfile.TemporaryDirectory(dir=asked.directory) as directory:
            path = os.path.join(directory, "usage.db")
            cost = generate(asked.program, path, size, asked.seed)
            generated.append((size, size / cost * 1_000, os.path.getsize(path) / length_of_lines(asked.program, path)))
            nothing = min(run([asked.program, "--version"])[0] for _ in range(asked.runs))
            for name, arguments in commands(size):
                command = [asked.program, "--ledger", path, "--json", "--now", stamp(START + size), *arguments]
                if "--as-of" in arguments:
                    command = [part for part in command if part not in ("--now", stamp(START + size))]
                if arguments[0] in ("export", "log"):
                    command.remove("--json")
                before = os.path.getsize(path)
                measured = [run(command)]
                # A command that takes seconds varies by a few hundredths: one run is enough.
                if measured[0][1] < 5_000:
                    measured += [run(command) for _ in range(asked.runs - 1)]
                if os.path.getsize(path) != before:
                    sys.exit("%s wrote to the ledger" % name)
                if name not in rows:
                    order.append(name)
                least = min(one[0] for one in measured)
                rows.setdefault(name, []).append((least, max(least - nothing, 0.1), max(one[2] for one in measured)))
            if size == sizes[-1]:
                writers(asked.program, path)
                telemetry(asked.program, path)
    print("\n| events | record --jsonl, events per CPU second | file / lines |\n|---|---|---|")
    for size, rate, ratio in generated:
        print("| %s | %s | %.2f |" % (format(size, ","), format(round(rate), ","), ratio))
    print("\n| command | " + " | ".join("%s events" % format(size, ",") for size in sizes) + " | exponent |")
    print("|---" * (len(sizes) + 2) + "|")
    for name in order:
        cells = ["%.0f ms, %.0f MiB" % (cpu, memory) for cpu, _, memory in rows[name]]
        own = [cost for _, cost, _ in rows[name]]
        exponent = "-"
        if len(own) > 1:
            exponent = "%.2f" % (math.log(own[-1] / own[-2]) / math.log(sizes[-1] / sizes[-2]))
        print("| %s | %s | %s |" % (name, " | ".join(cells), exponent))


if __name__ == "__main__":
    main()
