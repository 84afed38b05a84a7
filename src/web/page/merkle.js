// Verifies proofs of the RFC 6962 tree, by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2.

import { sha256 } from "./sha256.js";

export const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error("a hash is no hexadecimal text");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function joined(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/// The hash of a line: SHA-256 of a zero byte and the line.
export const leafHash = (line) => sha256(joined([0], new TextEncoder().encode(line)));

const nodeHash = (left, right) => sha256(joined([1], left, right));

const equal = (one, other) => hex(one) === hex(other);

/// The root to which a leaf and its proof lead; null if the proof has another length than the tree asks for.
export async function rootFromInclusion(index, size, leaf, hashes) {
  if (!(index >= 0 && index < size)) return null;
  // Positions may exceed 32 bits, where the operators of JavaScript on bits end.
  let [node, last, root] = [BigInt(index), BigInt(size) - 1n, leaf];
  for (const hash of hashes) {
    if (last === 0n) return null;
    if ((node & 1n) === 1n || node === last) {
      root = await nodeHash(hash, root);
      while ((node & 1n) === 0n && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      root = await nodeHash(root, hash);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n ? root : null;
}

/// Whether a tree of `newSize` leaves extends one of `oldSize` leaves.
export async function isConsistent(oldSize, oldRoot, newSize, newRoot, proof) {
  if (oldSize > newSize) return false;
  if (oldSize === newSize) return proof.length === 0 && equal(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0;
  const size = BigInt(oldSize);
  const hashes = (size & (size - 1n)) === 0n ? [oldRoot, ...proof] : proof;
  if (hashes.length === 0) return false;
  let [node, last] = [size - 1n, BigInt(newSize) - 1n];
  while ((node & 1n) === 1n) [node, last] = [node >> 1n, last >> 1n];
  let [first, second] = [hashes[0], hashes[0]];
  for (const hash of hashes.slice(1)) {
    if (last === 0n) return false;
    if ((node & 1n) === 1n || node === last) {
      [first, second] = [await nodeHash(hash, first), await nodeHash(hash, second)];
      while ((node & 1n) === 0n && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      second = await nodeHash(second, hash);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n && equal(first, oldRoot) && equal(second, newRoot);
}
