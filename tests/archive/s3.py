"""Drives `usage-ledger archive` against an S3 server: grow, race, kill, shred, restore, and move lines out of PostgreSQL.

s3.py PATH_OF_USAGE_LEDGER PATH_OF_WEED DIRECTORY
"""

import glob
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

command, weed, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
seed = int(os.environ.get("ARCHIVE_SEED", random.randrange(1 << 32)))
print(f"ARCHIVE_SEED={seed}")
chance = random.Random(seed)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


# The server adds 10,000 to some ports for gRPC, so these are set too.
names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"]
ports = dict(zip(names, free_ports(len(names))))
identities = {"identities": [{"name": "test", "credentials": [{"accessKey": "test-id", "secretKey": "test-secret"}], "actions": ["Admin", "Read", "Write", "List"]}]}
(work / "s3.json").write_text(json.dumps(identities))
(work / "data").mkdir()
server = subprocess.Popen(
    [weed, "server", f"-dir={work}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={work}/s3.json",
     "-master.volumeSizeLimitMB=64", "-volume.max=20"] + [f"-{name}={port}" for name, port in ports.items()],
    stdout=(work / "weed.log").open("w"), stderr=subprocess.STDOUT)


def wait_for(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if server.poll() is not None:
                sys.exit((work / "weed.log").read_text())
            time.sleep(0.1)
    sys.exit("the S3 server does not answer:\n" + (work / "weed.log").read_text())


environment = {
    "PATH": os.environ["PATH"], "HOME": str(work), "USAGE_LEDGER": str(work / "usage.db"), "USAGE_LEDGER_NOW": "2026-06-01T12:00:00Z",
    "AWS_ACCESS_KEY_ID": "test-id", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT": f"http://127.0.0.1:{ports['s3.port']}", "AWS_ALLOW_HTTP": "true",
}
archive = "s3://usage/team/laptop"
key = str(work / "key")


def start(*words, **more):
    return subprocess.Popen([command, *words], env={**environment, **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(*words, given=None, code=0, **more):
    process = start(*words, **more)
    out, err = process.communicate(given, timeout=300)
    assert process.returncode == code, f"{words} exits {process.returncode}, not {code}: {out}{err}"
    return out if code == 0 else err


def record(first, last):
    lines = [json.dumps({"provider": "anthropic", "model": "m", "input": n, "key": f"k{n}", "project": f"secret-{n % 5}"})
             for n in range(first, last)]
    run("record", "--jsonl", "-", given="\n".join(lines) + "\n")


def objects(folder="/buckets/usage/team/laptop/"):
    """The paths and contents of all files, read behind the back of S3."""
    found, address = {}, f"http://127.0.0.1:{ports['filer.port']}"
    request = urllib.request.Request(f"{address}{folder}?limit=10000", headers={"Accept": "application/json"})
    listed = json.load(urllib.request.urlopen(request, timeout=60))
    for entry in listed.get("Entries") or []:
        if entry["Mode"] & (1 << 31):
            found.update(objects(entry["FullPath"] + "/"))
        else:
            found[entry["FullPath"]] = urllib.request.urlopen(address + entry["FullPath"], timeout=60).read()
    return found


def save(*more):
    return json.loads(run("--json", "archive", "save", archive, "--key", key, *more))


def verified():
    return json.loads(run("--json", "archive", "verify", archive, "--verifier", verifier))["size"]


def database():
    """Starts a PostgreSQL server. None without its programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    programs = pathlib.Path(found[-1]) if found else shutil.which("initdb") and pathlib.Path(shutil.which("initdb")).parent
    if not programs:
        print("left out: PostgreSQL is not installed, so no lines move out of it")
        return None, None, None
    folder = work / "postgres"
    folder.mkdir(mode=0o700)
    as_user = []
    if os.geteuid() == 0:
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]
        shutil.chown(folder, "postgres", "postgres")
        os.chmod(work, 0o711)
    subprocess.run([*as_user, programs / "initdb", "-A", "trust", "-U", "admin", "-E", "UTF8", "--no-sync", "-D", folder / "data"], check=True,
                   stdout=subprocess.DEVNULL, cwd="/")
    (port,) = free_ports(1)
    process = subprocess.Popen([*as_user, programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"],
                               stdout=subprocess.DEVNULL, stderr=(work / "postgres.log").open("w"), cwd="/")

    def sql(text, name="postgres"):
        done = subprocess.run([programs / "psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(port), "-U", "admin", "-d", name, "-c", text],
                              capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    for _ in range(600):
        if sql("SELECT 1") == "1":
            break
        time.sleep(0.1)
    sql("CREATE DATABASE usage")
    return process, f"postgres://admin@127.0.0.1:{port}/usage?ledger=team", lambda text: sql(text, "usage")


def move_lines():
    """Older lines of a ledger in PostgreSQL are in the bucket alone."""
    process, ledger, sql = database()
    if process is None:
        return
    try:
        there, moved = {"USAGE_LEDGER": ledger}, "s3://usage/moved"
        lines = [json.dumps({"provider": "anthropic", "model": "m", "input": n, "key": f"k{n}", "project": f"hidden-{n % 5}"}) for n in range(5_000)]
        run("record", "--jsonl", "-", given="\n".join(lines) + "\n", **there)
        questions = [["export"], ["verify", "--json"], ["replay", "--json"], ["report", "--by", "project", "--json"], ["log", "--json", "--limit", "5000"],
                     ["show", "7", "--json"]]
        before = [run(*question, **there) for question in questions]
        size = int(sql("SELECT sum(length(body)) FROM usage_ledger.events"))
        # Killed at any moment, the next run continues, and no line is lost.
        for _ in range(6):
            mover = start("archive", "move", moved, "--before", "4500", "--key", key, **there)
            time.sleep(chance.random() * 0.5)
            mover.kill()
            mover.wait()
            assert json.loads(run("--json", "verify", **there))["ok"]
        done = json.loads(run("--json", "archive", "move", moved, "--before", "4500", "--key", key, **there))
        assert done["until"] == 4_096, done
        assert sql("SELECT count(*) FROM usage_ledger.events WHERE length(body) = 33") == "4096"
        left = int(sql("SELECT sum(length(body)) FROM usage_ledger.events"))
        assert [run(*question, **there) for question in questions] == before
        run("shred", "--project", "hidden-2", "--reason", "asked", **there)
        hidden = [path for path, content in objects("/buckets/usage/moved/").items() if b'"hidden-2"' in content]
        assert not hidden, hidden
        assert json.loads(run("--json", "verify", **there))["ok"]
        # Without the credentials the place is named, and no secret is.
        refused = run("show", "7", code=3, AWS_SECRET_ACCESS_KEY="wrong-secret-of-mine", **there)
        assert moved in refused and "wrong-secret-of-mine" not in refused, refused
        assert "requests" in run("report", "--by", "project", "--json", AWS_SECRET_ACCESS_KEY="wrong-secret-of-mine", **there)
        print(f"moved out of PostgreSQL: {size} bytes of lines became {left}")
    finally:
        process.terminate()
        process.wait()


try:
    wait_for(ports["s3.port"])
    verifier = run("key", "generate", "--name", "a.example/log", key).strip()
    record(0, 10)
    # Wrong credentials and a missing bucket are errors of the store, and repeat no secret.
    refused = run("archive", "save", archive, "--key", key, code=3, AWS_SECRET_ACCESS_KEY="wrong-secret-of-mine")
    assert "wrong-secret-of-mine" not in refused, refused
    made = urllib.request.Request(f"http://127.0.0.1:{ports['filer.port']}/buckets/usage/", method="POST")
    urllib.request.urlopen(made, timeout=60)

    size = 10
    for more in [0, 1, 245, 600]:
        record(size, size + more)
        size += more
        assert save()["size"] == size
        assert verified() == size
    assert save()["files"] == 0

    # Eight programs save the same ledger at once. Each ends well, or says that another one wrote meanwhile.
    record(size, size + 700)
    size += 700
    processes = [start("archive", "save", archive, "--key", key) for _ in range(8)]
    ends = [(process.communicate(timeout=300), process.returncode) for process in processes]
    assert all(code in (0, 3) for _, code in ends) and any(code == 0 for _, code in ends), ends
    assert all(code == 0 or "another program wrote" in out + err for (out, err), code in ends), ends
    assert verified() == size

    # Killed at any moment, the archive stays what its checkpoint says, and the next run continues.
    killed = 0
    for _ in range(12):
        record(size, size + 400)
        size += 400
        process = start("archive", "save", archive, "--key", key)
        time.sleep(chance.random() * 0.4)
        process.kill()
        killed += process.wait() != 0
        assert verified() in range(1, size + 1)
    save()
    assert verified() == size
    print(f"{killed} of 12 runs were killed")

    # Another history under the same key is refused with its position.
    run("--ledger", str(work / "other.db"), "record", "--provider", "openai", "--model", "m", "--input", "1")
    other = run("--ledger", str(work / "other.db"), "archive", "save", archive, "--key", key, code=1)
    assert "another copy of the ledger" in other, other

    # A shredded name leaves every file.
    assert any(b'"secret-3"' in content for content in objects().values())
    run("shred", "--project", "secret-3", "--reason", "asked")
    assert save()["shredded_files"] > 0
    left = [path for path, content in objects().items() if b'"secret-3"' in content]
    assert not left, left
    assert verified() == save()["size"]

    run("archive", "restore", archive, str(work / "restored.db"), "--verifier", verifier)
    assert run("--ledger", str(work / "restored.db"), "export") == run("export")

    move_lines()

    # A changed file is found. No reader reads the partial files that a killed run left beside a full one.
    files = objects()
    superseded = {path for path in files if ".p/" in path and path.partition(".p/")[0] in files}
    changed = chance.choice([path for path in files if "/tile/" in path and path not in superseded])
    content = bytearray(objects()[changed])
    content[chance.randrange(len(content))] ^= 1
    boundary = "xxxxBOUNDARYxxxx"
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'.encode() + bytes(content) + f"\r\n--{boundary}--\r\n".encode()
    put = urllib.request.Request(f"http://127.0.0.1:{ports['filer.port']}{changed}", data=body, method="PUT",
                                 headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    urllib.request.urlopen(put, timeout=60)
    run("archive", "verify", archive, "--verifier", verifier, code=1)
    print(f"archives on S3: {size} events, {len(objects())} files")
finally:
    server.kill()
