#!/usr/bin/env python3
"""Compares `usage-ledger report --format ccusage` with what ccusage itself answers, field by field.

    tests/ccusage_compare.py --ccusage PATH [--usage-ledger target/debug/usage-ledger] [--tz ZONE] HOME...

A HOME is a directory with `.claude` and `.codex` in it. Each is imported into a ledger of its own and asked for all
five reports. Keys, their order, nesting, order of rows, counts and names must be the same; costs and rates may differ by
1e-6, a projection's cents by one. Which block is active depends on the clock: the ledger is asked at the time at
which ccusage began. Nothing but Python's standard library is needed. Exit code 1: something differs.

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
MONEY = 1e-6
SHOWN = 10


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def theirs(options, home, report):
    environment = {"HOME": str(home.resolve()), "PATH": "/bin", "TZ": options.tz}
    command = [options.ccusage, report, "--json", "--offline"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def ours(options, ledger, report, at):
    command = [options.usage_ledger, "--ledger", ledger, "--tz", options.tz, "--now", at]
    command += ["report", "--by", REPORTS[report], "--format", "ccusage"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def differences(a, b, path=""):
    """Where two answers differ; of objects the order of the keys counts too."""
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            yield f"{path}: keys {list(a)}, not {list(b)}"
        for key in a.keys() & b.keys():
            yield from differences(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            yield f"{path}: {len(a)} elements, not {len(b)}"
        for index, (left, right) in enumerate(zip(a, b)):
            yield from differences(left, right, f"{path}[{index}]")
    elif is_number(a) and is_number(b):
        least = 0.0101 if path.endswith(".projection.totalCost") else MONEY
        fraction = isinstance(a, float) or isinstance(b, float)
        if a != b and not (fraction and abs(a - b) <= max(least, 1e-12 * abs(b))):
            yield f"{path}: {a}, not {b}"
    elif a != b:
        yield f"{path}: {a!r}, not {b!r}"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare(options, home):
    found = 0
    with tempfile.TemporaryDirectory() as directory:
        ledger = f"{directory}/usage.db"
        for source in ("claude-code", "codex"):
            command = [options.usage_ledger, "--ledger", ledger, "import", source, "--home", str(home)]
            subprocess.run(command, check=True, capture_output=True)
        for report in REPORTS:
            at = now()
            expected = json.loads(theirs(options, home, report))
            answer = json.loads(ours(options, ledger, report, at))
            differing = list(differences(answer, expected))
            print(f"{home} {report}: {len(expected[report])} rows, {len(differing)} differences")
            for line in differing[:SHOWN]:
                print(f"  {report}{line}")
            found += len(differing)
    return found


def capture(options, home):
    directory = pathlib.Path(options.capture)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "now").write_text(now() + "\n")
    for report in REPORTS:
        (directory / f"{report}.json").write_text(theirs(options, home, report))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ccusage", required=True, metavar="PATH")
    parser.add_argument("--usage-ledger", default="target/debug/usage-ledger", metavar="PATH")
    parser.add_argument("--tz", default="UTC", metavar="ZONE")
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
