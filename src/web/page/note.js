// Verifies signed checkpoints: C2SP tlog-checkpoint in a C2SP signed-note, with Ed25519.

import { hex } from "./merkle.js";
import { sha256 } from "./sha256.js";

const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/// Reads a verifier key, NAME+HASH+KEY.
export async function readVerifier(text) {
  const match = /^(\S+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text.trim());
  if (!match) throw new Error("the key has another form than NAME+HASH+KEY");
  const [, name, hash, encoded] = match;
  const key = fromBase64(encoded);
  if (key.length !== 33 || key[0] !== 1) throw new Error("the key is no Ed25519 key");
  const prefix = new TextEncoder().encode(`${name}\n`);
  const named = new Uint8Array(prefix.length + key.length);
  named.set(prefix);
  named.set(key, prefix.length);
  if (hex((await sha256(named)).slice(0, 4)) !== hash) throw new Error("the hash of the key does not match");
  return { name, hash, key: key.slice(1) };
}

/// Reads a checkpoint: its size and root.
export function readCheckpoint(note) {
  const end = note.indexOf("\n\n");
  const text = note.slice(0, end + 1);
  const [origin, size, root] = text.split("\n");
  if (end < 0 || !/^(0|[1-9]\d*)$/.test(size)) throw new Error("the checkpoint has another form");
  return { origin, size: Number(size), root: hex(fromBase64(root)), text, signatures: note.slice(end + 2) };
}

/// Whether the key signed the checkpoint; null if the browser cannot check it.
export async function isSigned(checkpoint, verifier) {
  if (!globalThis.crypto?.subtle) return null;
  let key;
  try {
    key = await crypto.subtle.importKey("raw", verifier.key, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  const text = new TextEncoder().encode(checkpoint.text);
  for (const line of checkpoint.signatures.split("\n")) {
    const match = /^— (\S+) ([A-Za-z0-9+/=]+)$/.exec(line);
    if (!match || match[1] !== verifier.name) continue;
    const signature = fromBase64(match[2]);
    if (hex(signature.slice(0, 4)) !== verifier.hash) continue;
    return crypto.subtle.verify("Ed25519", key, signature.slice(4), text);
  }
  return false;
}
