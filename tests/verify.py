#!/usr/bin/env python3
"""Checks an export of a usage ledger with nothing but Python: no part of usage-ledger, no library.

    verify.py EVENTS.jsonl CHECKPOINT VERIFIERKEY [PROOF]
    verify.py --total PROOF VERIFIERKEY [SEAL]

EVENTS.jsonl    usage-ledger export --format events
CHECKPOINT      usage-ledger checkpoint              (c2sp.org/tlog-checkpoint)
VERIFIERKEY     usage-ledger key show                (name+hash+base64, or a file with it)
PROOF           usage-ledger prove inclusion 120     (c2sp.org/tlog-proof)
                usage-ledger prove total --project X (after --total; it needs no events)
SEAL            usage-ledger seal                    (the proof must be of this one)

Exits 0 when the lines or the total are those that the key signed, 1 when they are not, 2 when it was called wrongly.
"""
import base64, collections, decimal, hashlib, json, os, sys

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

def text(path):
    return open(path, encoding="utf-8", newline="").read()

def content_of(line, name):
    """The leaf index, the blinded leaf hash and the content of a line `INDEX SALT CONTENT`."""
    index, salt, content = line.split(" ", 2)
    check(str(int(index)) == index, f"a {name} has no index")
    salt = unbase64(salt, f"a {name} has no salt")
    check(len(salt) == 32, f"a {name} has no salt")
    values = json.loads(content)
    # One spelling alone, so that all readers read the same.
    check(json.dumps(values, separators=(",", ":"), ensure_ascii=False) == content, f"a {name} has another spelling")
    return int(index), sha256(b"\0", salt, content.encode()), values

def root_of_subset(first, size, leaves, hashes):
    """The root over the leaves first to first + size, from some leaves and the roots of what lies between them."""
    if not leaves:
        check(hashes, "the proof is too short")
        return hashes.pop(0)
    if size == 1:
        return leaves[0][1]
    half = 1 << (size - 1).bit_length() - 1
    below, above = [[one for one in leaves if (one[0] < first + half) is low] for low in (True, False)]
    left = root_of_subset(first, half, below, hashes)
    return sha256(b"\1", left, root_of_subset(first + half, size - half, above, hashes))

def check_subset(size, leaves, hashes, root, words):
    indices, hashes = [one[0] for one in leaves], [unbase64(one, "the proof has a hash that is none") for one in hashes]
    check(indices == sorted(set(indices)) and indices[-1] < size, words)
    check(root_of_subset(0, size, leaves, hashes) == root and not hashes, words)

def sums_of(rows):
    sums = collections.Counter()
    for row in rows:
        sums.update({"requests": row["sums"]["requests"], **row["sums"]["tokens"]})
        if "reported_usd" in row["sums"]:
            sums["reported USD"] += decimal.Decimal(row["sums"]["reported_usd"])
    return {name: sum for name, sum in sums.items() if sum}

def words_of(sums):
    return ", ".join(f"{name} {sum}" for name, sum in sums.items())

def check_total(proof, verifier, seal=None):
    decimal.getcontext().prec = 60
    verifier = text(verifier).strip() if os.path.exists(verifier) else verifier
    head, _, note = text(proof).partition("\n\n")
    events, root = open_note(note, verifier, "the seal")
    if seal:
        check(text(seal).rpartition("\n\n")[0] == note.rpartition("\n\n")[0], "the proof is of another seal")
    lines = head.split("\n")
    check(lines[0] == "usage-ledger/total@v1" and len(lines) > 2, "the proof is no usage-ledger/total@v1")
    names = [line.split(" ", 1)[0] for line in lines[1:]]
    check(names == sorted(names, key=["by", "total", "beside", "row", "hidden"].index), "the lines are in another order")
    parts = {name: [line.split(" ", 1)[1] for line in lines[1:] if line.split(" ", 1)[0] == name] for name in
             ("by", "total", "beside", "row", "hidden")}
    check(len(parts["by"]) == len(parts["total"]) == 1, "the proof has not one total")
    extensions = note.rpartition("\n\n")[0].split("\n")[3:]
    roots = [line[10:] for line in extensions if line.startswith("rows root ")]
    sizes = [line[5:] for line in extensions if line.startswith("rows ") and not line.startswith("rows root ")]
    periods = [line[5:] for line in extensions if line.startswith("seal ")]
    check(len(roots) == len(sizes) == len(periods) == 1, "the seal has no rows")
    size, _, by = sizes[0].partition(" by ")
    check(by == parts["by"][0], "the proof is by another key than the seal")
    index, leaf, total = content_of(parts["total"][0], "total")
    check_subset(int(size), [(index, leaf)], parts["beside"], bytes.fromhex(roots[0]), "the total is not one of the seal")
    rows = [content_of(line, "row") for line in parts["row"]]
    if rows:
        check_subset(total["rows"], rows, parts["hidden"], bytes.fromhex(total["root"]), "the rows are not those of the total")
    else:
        check(not parts["hidden"], "the proof has hashes beside no row")
    rows, sums = [row[2] for row in rows], sums_of([total])
    if len(rows) == total["rows"]:
        check(sums_of(rows) == sums, "the sums of the rows are not those of the total")
    print(f"ok: {by} {total['name']}: {words_of(sums)}")
    print(f"of the period {periods[0]}, sealed by {verifier.split('+')[0]} over {events} events, root {root.hex()}")
    for row in sorted(rows, key=lambda row: (row["day"], row["provider"], row.get("account", ""), row.get("model", ""))):
        print(f"{row['day']} {row['provider']} {row.get('account', '-')} {row.get('model', '-')}: {words_of(sums_of([row]))}")
    print(f"shows {len(rows)} of its {total['rows']} rows: {words_of(sums_of(rows))}")

def main(events, checkpoint, verifier, proof=None):
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
    total = sys.argv[1:2] == ["--total"]
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__) if "-h" in sys.argv else (print(__doc__, file=sys.stderr), sys.exit(2))
    try:
        check_total(*sys.argv[2:]) if total else main(*sys.argv[1:])
    except (Refused, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as refused:
        print(f"refused: {refused}")
        sys.exit(1)
