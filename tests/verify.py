#!/usr/bin/env python3
"""Checks an export of a usage ledger with nothing but Python: no part of usage-ledger, no library.

    verify.py EVENTS.jsonl CHECKPOINT VERIFIERKEY [PROOF]

EVENTS.jsonl    usage-ledger export --format events
CHECKPOINT      usage-ledger checkpoint              (c2sp.org/tlog-checkpoint)
VERIFIERKEY     usage-ledger key show                (name+hash+base64, or a file with it)
PROOF           usage-ledger prove inclusion 120     (c2sp.org/tlog-proof)

Exits 0 when the lines are those that the key signed, 1 when they are not, 2 when it was called wrongly.
"""
import base64, hashlib, json, os, sys

class Refused(Exception):
    pass

def check(true, words):
    if not true:
        raise Refused(words)

def unbase64(text, words):
    raw = base64.b64decode(text)
    check(base64.b64encode(raw).decode() == text, words)  # only one spelling
    return raw

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Ed25519 (RFC 8032): the curve -x² + y² = 1 + d x² y² over the integers modulo 2^255 - 19, points as (X, Y, Z, XY/Z).
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * D * a[3] * b[3] % P, 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return w * x % P, y * z % P, x * y % P, w * z % P

def times(number, point):
    total = (0, 1, 1, 0)
    for bit in bin(number)[2:]:
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    return total

def point(raw):
    y, odd = int.from_bytes(raw, "little") & (2**255 - 1), raw[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and odd):
        return None
    x = P - x if x & 1 != odd else x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

def signed(key, text, signature):
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % ORDER
    left, right = times(s, BASE), add(r, times(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

def open_note(note, verifier, what):
    """The text of a note that the key signed."""
    name, hex_hash, rest = (verifier.split("+", 2) + ["", ""])[:3]
    typed = unbase64(rest, "the verifier key is not whole")
    hashed = sha256(name.encode(), b"\n", typed)[:4]
    check(len(typed) == 33 and typed[0] == 1 and hashed.hex() == hex_hash.lower(), "the verifier key is not whole")
    text, empty_line, signatures = note.rpartition("\n\n")
    check(empty_line and note.endswith("\n"), f"{what} is no signed note")
    mine = []
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        check(len(parts) == 3 and parts[0] == "—", f"{what} has a signature line that is none")
        raw = unbase64(parts[2], f"{what} has a signature that is none")
        mine += [raw[4:]] if (parts[1], raw[:4]) == (name, hashed) else []
    check(mine, f"{what} is not signed by {verifier}")
    fits = all(len(one) == 64 and signed(typed[1:], (text + "\n").encode(), one) for one in mine)
    check(fits, f"{what} has a signature by {name} that does not fit")
    origin, size, root = (text.split("\n") + ["", ""])[:3]
    check(origin == name, f"{what} is of the log {origin}, not of {name}")
    check(str(int(size)) == size, f"{what} has no size")
    return int(size), unbase64(root, f"{what} has no root")

def leaf_of(line, position, shredded):
    """RFC 6962 leaf hash; of a shredded event only that is left."""
    if line.startswith(b'{"escaped":'):  # a line of an early build that holds line breaks, as a JSON string
        row = json.loads(line)
        check(row["escaped"] == position, f"position {position} says that it is another")
        line = row["line"].encode()
    elif line.startswith(b'{"shredded":'):
        row = json.loads(line)
        check(row["shredded"] == position, f"position {position} says that it is another")
        shredded[position] = row["leaf"]
        return bytes.fromhex(row["leaf"])
    if b'"event_shredded"' in line:
        event = json.loads(line)
        if event["kind"] == "event_shredded":
            shredded.setdefault("named", {})[event["data"]["position"]] = event["data"]["leaf"]
    return sha256(b"\0", line)

def read(path, sizes, position):
    """The roots of the first so many lines, the leaf at a position, and how many lines there are."""
    roots, leaf, peaks, count, shredded = {0: sha256()}, None, [], 0, {}
    with open(path, "rb") as lines:
        for count, line in enumerate(lines, 1):
            check(line.endswith(b"\n"), f"position {count} is cut off")
            node = leaf_of(line[:-1], count, shredded)
            leaf, size = node if count == position else leaf, count
            while size % 2 == 0:
                node, size = sha256(b"\1", peaks.pop(), node), size // 2
            peaks.append(node)
            if count in sizes:
                root = peaks[-1]
                for peak in reversed(peaks[:-1]):
                    root = sha256(b"\1", peak, root)
                roots[count] = root
    named = shredded.pop("named", {})
    for at, kept in shredded.items():
        check(named.get(at) == kept, f"position {at} is left out, and no event_shredded says why"
              " (of an earlier state it may stand behind: check an export of the whole ledger)")
        print(f"position {at} is shredded: its hash stands for it")
    return roots, leaf, count

def root_of_path(index, size, node, path):
    last = size - 1
    check(0 <= index < size, "the proof is of an event behind its checkpoint")
    for beside in path:
        check(last > 0, "the proof is too long")
        if index % 2 or index == last:
            node = sha256(b"\1", beside, node)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            node = sha256(b"\1", node, beside)
        index, last = index // 2, last // 2
    check(last == 0, "the proof is too short")
    return node

def main(events, checkpoint, verifier, proof=None):
    text = lambda path: open(path, encoding="utf-8", newline="").read()
    verifier = text(verifier).strip() if os.path.exists(verifier) else verifier
    size, root = open_note(text(checkpoint), verifier, "the checkpoint")
    index = None
    if proof:
        head, _, note = text(proof).partition("\n\n")
        head = head.split("\n")
        if head[1:] and head[1].startswith("extra "):  # an application's own line, in this place alone
            del head[1]
        check(len(head) > 1 and head[0] == "c2sp.org/tlog-proof@v1" and head[1].startswith("index "), "the proof is no c2sp.org/tlog-proof@v1")
        index, path = int(head[1][6:]), [unbase64(line, "the proof has a hash that is none") for line in head[2:]]
        proof_size, proof_root = open_note(note, verifier, "the proof's checkpoint")
    roots, leaf, count = read(events, {size}, None if index is None else index + 1)
    check(size in roots, f"position {count + 1} is missing: the checkpoint is of {size} events, there are {count}")
    check(roots[size] == root, f"positions 1 to {size}: the lines are not those that were signed")
    print(f"ok: the first {size} of {count} events are those that {verifier.split('+')[0]} signed, root {root.hex()}")
    if index is not None:
        check(leaf is not None, f"position {index + 1} is not in {events}")
        found = root_of_path(index, proof_size, leaf, path)
        check(found == proof_root, f"position {index + 1} is not the event that the proof is of")
        print(f"ok: the event at position {index + 1} is one of {proof_size} that were signed")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__) if "-h" in sys.argv else (print(__doc__, file=sys.stderr), sys.exit(2))
    try:
        main(*sys.argv[1:])
    except (Refused, OSError, ValueError, KeyError, IndexError, TypeError) as refused:
        print(f"refused: {refused}")
        sys.exit(1)
