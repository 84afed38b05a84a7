#!/usr/bin/env python3
"""Witnesses of two implementations: usage-ledger and the package aics-witness, each as a log's client and as a witness.

    witness_oracle.py USAGE_LEDGER

Needs Python 3.12 and the packages aics-witness 0.1.0 and aics-tlog 0.2.1; tests/witness_oracle.sh installs them.
"""
import json, os, re, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path

from aics_tlog import parse_vkey, verify_cosignature
from aics_tlog.checkpoint import parse_checkpoint
from aics_tlog.note import parse_note, verify_note_signature
from aics_witness.feeder import FeederError, WitnessClient

PROGRAM = os.path.abspath(sys.argv[1])
HERE = Path(tempfile.mkdtemp(prefix="witness-oracle-"))
ENVIRONMENT = {"HOME": str(HERE), "TZ": "UTC", "USAGE_LEDGER": str(HERE / "usage.db"), "PATH": os.environ["PATH"]}
children = []


def run(*args, code=0):
    done = subprocess.run([PROGRAM, *args], env=ENVIRONMENT, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == code, (args, done)
    return done.stdout if code == 0 else done.stdout + done.stderr


def record(count):
    lines = "".join('{"provider":"openai","model":"m","input":1}\n' for _ in range(count))
    subprocess.run([PROGRAM, "record", "--jsonl", "-"], env=ENVIRONMENT, input=lines, text=True, check=True, capture_output=True)


def start(command, pattern):
    child = subprocess.Popen(command, env=ENVIRONMENT, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    children.append(child)
    for line in child.stdout:
        found = re.search(pattern, line)
        if found:
            return child, found.group(1)
    raise AssertionError((command, "ended early"))


def proof_hashes(old, new):
    """The hashes of a consistency proof that the ledger itself computes."""
    if old in (0, new):
        return []
    answer = json.loads(run("--json", "prove", "consistency", str(old), str(new)))
    return [bytes.fromhex(one) for one in answer["hashes"]]


def main():
    verifier = run("key", "generate", "--name", "a.example/log").strip()
    (HERE / "verifier.pub").write_text(verifier + "\n")
    record(5)

    # Their witness, our client.
    tools = Path(sys.executable).parent
    config = str(HERE / "theirs.json")
    theirs = subprocess.run(
        [tools / "aics-witness", "init", "--config", config, "--name", "theirs.example/w1", "--listen", "127.0.0.1:17381"],
        env=ENVIRONMENT, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    subprocess.run([tools / "aics-witness", "add-log", "--config", config, "--origin", "a.example/log", "--vkey", verifier],
                   env=ENVIRONMENT, cwd=HERE, check=True, capture_output=True)
    child = subprocess.Popen([tools / "aics-witness", "serve", "--config", config], env=ENVIRONMENT, cwd=HERE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children.append(child)
    url = "http://127.0.0.1:17381"
    for _ in range(200):
        try:
            urllib.request.urlopen(url + "/healthz", timeout=5).read()
            break
        except OSError:
            assert child.poll() is None, "aics-witness ended early"
            time.sleep(0.05)

    # Our witness.
    ours = run("witness", "init", str(HERE / "ours"), "--name", "ours.example/w1").strip()
    _, our_url = start([PROGRAM, "--json", "witness", "serve", str(HERE / "ours"), "--log", verifier, "--listen", "127.0.0.1:0"],
                       r'"listening":"([^"]+)"')

    policy = HERE / "trust.policy"
    policy.write_text(f"log {verifier}\nwitness T {theirs} {url}\nwitness O {ours} {our_url}\ngroup both all T O\nquorum both\n")
    out = str(HERE / "ledger.checkpoint")
    for count in (0, 1, 7, 64):
        record(count) if count else None
        run("witness", "submit", "--policy", str(policy), "--out", out)
        run("verify", "--checkpoint", out, "--policy", str(policy))
        text = Path(out).read_text()
        # Their library reads our note, and verifies both cosignatures.
        assert verified_by_library(text, [verifier, theirs, ours]) == 3, text
    print("ok: our client obtains cosignatures of both witnesses, and their library verifies them")

    # Their client, our witness.
    client = WitnessClient(our_url, ours)
    size = json.loads(run("--json", "verify"))["size"]
    for more in (0, 3, 1, 30):
        if more:
            record(more)
        checkpoint = run("checkpoint").encode()
        client.submit(checkpoint, proof_hashes)
        new = json.loads(run("--json", "verify"))["size"]
        assert new >= size
        size = new
    print("ok: their client obtains cosignatures of our witness")

    # A second history: both witnesses refuse it.
    os.rename(HERE / "usage.db", HERE / "honest.db")
    for leftover in ("usage.db-wal", "usage.db-shm", "usage.db-queue"):
        (HERE / leftover).unlink(missing_ok=True)
    record(200)
    os.remove(out)
    answer = run("witness", "submit", "--policy", str(policy), "--out", out, code=1)
    assert answer.count("another history") == 2, answer
    try:
        WitnessClient(our_url, ours).submit(run("checkpoint").encode(), proof_hashes)
        raise AssertionError("their client got a cosignature of a second history")
    except FeederError as refused:
        print(f"ok: both refuse a second history ({type(refused).__name__})")


def verified_by_library(text, vkeys):
    """How many of the keys signed a checkpoint, by the other implementation. Each has exactly one line."""
    parsed = parse_note(text.encode())
    checkpoint = parse_checkpoint(parsed.text)
    count = 0
    for vkey in map(parse_vkey, vkeys):
        [line] = [one for one in parsed.signatures if (one.name, one.key_id) == (vkey.name, vkey.key_id)]
        if vkey.key_type == 1:
            count += verify_note_signature(parsed, line, vkey)
        else:
            count += verify_cosignature(line.signature, vkey.name, vkey.public_key, checkpoint.origin, checkpoint.size,
                                        checkpoint.root, checkpoint.extension_lines, max_age_seconds=600)
    return count


if __name__ == "__main__":
    try:
        main()
    finally:
        for child in children:
            child.kill()
