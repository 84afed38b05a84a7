// The hashes and proofs of the page against node's own: node tests/web/hashes.mjs DIRECTORY_OF_THE_PAGE
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { join, resolve } from "node:path";
import { mkdtempSync, cpSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";

// Node reads the files as modules only below a package that says so.
const copy = mkdtempSync(join(tmpdir(), "usage-ledger-page-"));
cpSync(resolve(process.argv[2]), copy, { recursive: true });
writeFileSync(join(copy, "package.json"), '{"type":"module"}');
process.on("exit", () => rmSync(copy, { recursive: true }));
const { sha256, sha256InScript } = await import(join(copy, "sha256.js"));
const merkle = await import(join(copy, "merkle.js"));
const note = await import(join(copy, "note.js"));
const format = await import(join(copy, "format.js"));

const reference = (...parts) => new Uint8Array(createHash("sha256").update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest());
for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000]) {
  const bytes = Uint8Array.from({ length }, (_, at) => (at * 7 + length) % 256);
  assert.equal(merkle.hex(sha256InScript(bytes)), merkle.hex(reference(bytes)), `${length} bytes in script`);
  assert.equal(merkle.hex(await sha256(bytes)), merkle.hex(reference(bytes)), `${length} bytes`);
}

// RFC 6962 §2.1, written as the standard defines it.
const largest = (size) => 2 ** Math.floor(Math.log2(size - 1));
function root(leaves) {
  if (leaves.length === 1) return leaves[0];
  const half = largest(leaves.length);
  return reference([1], root(leaves.slice(0, half)), root(leaves.slice(half)));
}
function path(at, leaves) {
  if (leaves.length === 1) return [];
  const half = largest(leaves.length);
  return at < half ? [...path(at, leaves.slice(0, half)), root(leaves.slice(half))] : [...path(at - half, leaves.slice(half)), root(leaves.slice(0, half))];
}
function consistency(old, leaves, whole = true) {
  if (old === leaves.length) return whole ? [] : [root(leaves)];
  const half = largest(leaves.length);
  return old <= half ? [...consistency(old, leaves.slice(0, half), whole), root(leaves.slice(half))] : [...consistency(old - half, leaves.slice(half), false), root(leaves.slice(0, half))];
}
const lines = Array.from({ length: 41 }, (_, at) => `{"v":${at},"é":"\u202e"}`);
const leaves = await Promise.all(lines.map(merkle.leafHash));
assert.equal(merkle.hex(leaves[3]), merkle.hex(reference([0], lines[3])));
const flipped = (hash) => Uint8Array.from(hash, (byte, at) => (at === 5 ? byte ^ 1 : byte));
let checked = 0;
for (let size = 1; size <= leaves.length; size += 1) {
  const tree = leaves.slice(0, size);
  const top = root(tree);
  for (let at = 0; at < size; at += 1) {
    const proof = path(at, tree);
    assert.equal(merkle.hex(await merkle.rootFromInclusion(at, size, tree[at], proof)), merkle.hex(top));
    for (const wrong of [[...proof, top], proof.slice(1), proof.map((hash, index) => (index === proof.length - 1 ? flipped(hash) : hash))]) {
      if (wrong.length === proof.length && proof.length === 0) continue;
      const found = await merkle.rootFromInclusion(at, size, tree[at], wrong);
      assert.ok(found === null || merkle.hex(found) !== merkle.hex(top) || size === 1, `${at} of ${size}`);
      checked += 1;
    }
  }
  for (let old = 0; old <= size; old += 1) {
    const before = old === 0 ? reference() : root(leaves.slice(0, old));
    const proof = old === 0 ? [] : consistency(old, tree);
    assert.ok(await merkle.isConsistent(old, before, size, top, proof), `${old} to ${size}`);
    if (old > 0 && old < size) {
      assert.ok(!await merkle.isConsistent(old, flipped(before), size, top, proof));
      assert.ok(!await merkle.isConsistent(old, before, size, flipped(top), proof));
      assert.ok(!await merkle.isConsistent(old, before, size, top, proof.slice(1)));
      assert.ok(!await merkle.isConsistent(old, before, size, top, [...proof, top]));
    }
    assert.ok(!await merkle.isConsistent(size + 1, top, size, top, []));
  }
}

// A note that node signs.
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const key = Buffer.concat([Buffer.from([1]), publicKey.export({ format: "der", type: "spki" }).subarray(-32)]);
const hash = Buffer.from(reference("ledger.example/a\n", key).slice(0, 4));
const verifier = `ledger.example/a+${hash.toString("hex")}+${key.toString("base64")}`;
const text = `ledger.example/a\n41\n${Buffer.from(root(leaves)).toString("base64")}\n`;
const signed = (of) => `${text}\n— ledger.example/a ${Buffer.concat([hash, sign(null, Buffer.from(of), privateKey)]).toString("base64")}\n`;
const known = await note.readVerifier(verifier);
const checkpoint = note.readCheckpoint(signed(text));
assert.deepEqual([checkpoint.size, checkpoint.root], [41, merkle.hex(root(leaves))]);
assert.equal(await note.isSigned(checkpoint, known), true);
assert.equal(await note.isSigned(note.readCheckpoint(signed(`${text} `)), known), false);
assert.equal(await note.isSigned({ ...checkpoint, signatures: "" }, known), false);
await assert.rejects(note.readVerifier(verifier.replace(hash.toString("hex"), "00000000")));

// Times in the zone of the ledger, across a change of its clock.
for (const [zone, local, instant] of [["Europe/Paris", "2026-03-29T01:30", "2026-03-29T00:30:00.000Z"], ["Europe/Paris", "2026-03-29T03:30", "2026-03-29T01:30:00.000Z"], ["Asia/Kathmandu", "2026-06-01T00:00", "2026-05-31T18:15:00.000Z"], ["UTC", "2026-06-01T00:00", "2026-06-01T00:00:00.000Z"]]) {
  format.setZone(zone);
  assert.equal(format.instant(local), instant, zone);
  assert.equal(format.local(instant), local, zone);
}
assert.deepEqual([999.4, 1000, 60000, 1234567, 999999, 5e13].map(format.scaled), ["999.4", "1k", "60k", "1.23M", "1M", "50T"]);
assert.deepEqual(["0", "0.40836", "18.745", "1234.5", null].map(format.dollars), ["$0.00", "$0.4084", "$18.75", "$1,234.50", "unknown"]);
assert.deepEqual(["/home/me/acme", "\\u{202e}exe", "C:\\src\\acme", ""].map(format.shortProject), ["acme", "\\u{202e}exe", "acme", "no project"]);
console.log(`hashes: ok (${checked} wrong proofs refused)`);
