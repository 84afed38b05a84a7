#!/usr/bin/env python3
"""Compares `usage-ledger report --format ccusage` with what ccusage itself answers, field by field.

    tests/ccusage_compare.py --ccusage PATH [--usage-ledger target/debug/usage-ledger] [--tz ZONE] HOME...

A HOME is a directory with `.claude` and `.codex` in it. Each is imported into a ledger of its own and asked for all
five reports, and for those of `ccusage claude` and `ccusage codex`. Keys, their order, nesting, order of rows, counts,
names and times must be the same; costs and rates may differ by 1e-6, a projection's cents by one. Which block is active
depends on the clock: the ledger is asked at the time at which ccusage began. Nothing but Python's standard library is
needed. Exit code 1: something differs.

--since and --until are ccusage's, the last day included; the ledger is asked for the same days.

    tests/ccusage_compare.py --ccusage PATH --capture DIR HOME

writes ccusage's answers to DIR as fixtures instead, and the time at which they were given.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

REPORTS = {
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "session": "conversation",
    "blocks": "window",
}
# The commands of one agent; Codex has no weekly one.
AGENTS = {
    "claude": ("claude-code", ("daily", "weekly", "monthly", "session")),
    "codex": ("codex", ("daily", "monthly", "session")),
}
MONEY = 1e-6
CENT = 0.0101
SHOWN = 10


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def questions():
    """ccusage's command, how its answer's file is named, the report's key, and the agent if it is of one."""
    for report, key in REPORTS.items():
        yield [report], report, key, None
    for command, (agent, reports) in AGENTS.items():
        for report in reports:
            yield [command, report], f"{command}-{report}", REPORTS[report], agent


def theirs(options, home, asked):
    environment = {"HOME": str(home.resolve()), "PATH": "/bin", "TZ": options.tz}
    command = [options.ccusage, *asked, "--json", "--offline"]
    for name, day in (("--since", options.since), ("--until", options.until)):
        if day:
            command += [name, day.isoformat()]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def ours(options, ledger, key, agent, at):
    command = [options.usage_ledger, "--ledger", ledger, "--tz", options.tz, "--now", at]
    command += ["report", "--by", key, "--format", "ccusage"]
    if agent:
        command += ["--agent", agent]
    if options.since:
        command += ["--since", options.since.isoformat()]
    if options.until:
        command += ["--until", (options.until + datetime.timedelta(days=1)).isoformat()]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Comparison:
    """Where two answers differ; of objects the order of the keys counts too."""

    def __init__(self):
        self.found = []

    def say(self, path, a, b):
        self.found.append(f"{path}: {a!r}, not {b!r}")

    def walk(self, a, b, path=""):
        if isinstance(a, dict) and isinstance(b, dict):
            if list(a) != list(b):
                self.say(f"{path} keys", list(a), list(b))
            for key in sorted(a.keys() & b.keys()):
                self.walk(a[key], b[key], f"{path}.{key}")
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                self.say(f"{path} length", len(a), len(b))
            for index, (left, right) in enumerate(zip(a, b)):
                self.walk(left, right, f"{path}[{index}]")
        elif a != b and not near(a, b, path):
            self.say(path, a, b)


def near(a, b, path):
    if not (is_number(a) and is_number(b)) or not (isinstance(a, float) or isinstance(b, float)):
        return False
    if path.endswith(".projection.totalCost"):
        return abs(a - b) <= CENT
    if ".burnRate." in path:
        return abs(a - b) <= max(MONEY, 1e-12 * abs(b))
    return abs(a - b) <= MONEY


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare(options, home):
    found = 0
    with tempfile.TemporaryDirectory() as directory:
        ledger = f"{directory}/usage.db"
        for source in ("claude-code", "codex"):
            command = [options.usage_ledger, "--ledger", ledger, "import", source, "--home", str(home)]
            subprocess.run(command, check=True, capture_output=True)
        for asked, name, key, agent in questions():
            at = now()
            expected = json.loads(theirs(options, home, asked))
            answer = json.loads(ours(options, ledger, key, agent, at))
            comparison = Comparison()
            comparison.walk(answer, expected)
            differing = comparison.found
            rows = next(len(rows) for part, rows in expected.items() if part != "totals")
            print(f"{home} {name}: {rows} rows, {len(differing)} differences")
            for line in differing[:SHOWN]:
                print(f"  {line}")
            found += len(differing)
    return found


def capture(options, home):
    directory = pathlib.Path(options.capture)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "now").write_text(now() + "\n")
    for asked, name, _, _ in questions():
        (directory / f"{name}.json").write_text(theirs(options, home, asked))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ccusage", required=True, metavar="PATH")
    parser.add_argument("--usage-ledger", default="target/debug/usage-ledger", metavar="PATH")
    parser.add_argument("--tz", default="UTC", metavar="ZONE")
    parser.add_argument("--since", type=datetime.date.fromisoformat, metavar="DAY")
    parser.add_argument("--until", type=datetime.date.fromisoformat, metavar="DAY")
    parser.add_argument("--capture", metavar="DIR")
    parser.add_argument("home", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    if options.capture:
        if len(options.home) != 1:
            parser.error("--capture is of one home")
        capture(options, options.home[0])
        return 0
    return 1 if sum(compare(options, home) for home in options.home) else 0


if __name__ == "__main__":
    sys.exit(main())
