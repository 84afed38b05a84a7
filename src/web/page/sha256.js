// SHA-256 (FIPS 180-4). WebCrypto computes it where the page is on a secure origin, such as localhost; the code below
// computes it on plain HTTP to another machine, where browsers offer no WebCrypto.

const K = [];
const START = [];
{
  // The constants are the fractional parts of roots of the first primes.
  const fraction = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32) >>> 0;
  let candidate = 2;
  while (K.length < 64) {
    let prime = true;
    for (let divisor = 2; divisor * divisor <= candidate; divisor += 1) prime = prime && candidate % divisor !== 0;
    if (prime) {
      if (START.length < 8) START.push(fraction(Math.sqrt(candidate)));
      K.push(fraction(Math.cbrt(candidate)));
    }
    candidate += 1;
  }
}

const turned = (word, by) => (word >>> by) | (word << (32 - by));

/// Computes the hash without WebCrypto.
export function sha256InScript(bytes) {
  const length = bytes.length;
  const padded = new Uint8Array(((length + 8) >> 6) * 64 + 64);
  padded.set(bytes);
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length << 3) >>> 0);
  const state = [...START];
  const words = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let at = 0; at < 16; at += 1) words[at] = view.getUint32(block + at * 4);
    for (let at = 16; at < 64; at += 1) {
      const [before, last] = [words[at - 15], words[at - 2]];
      const low = turned(before, 7) ^ turned(before, 18) ^ (before >>> 3);
      const high = turned(last, 17) ^ turned(last, 19) ^ (last >>> 10);
      words[at] = words[at - 16] + low + words[at - 7] + high;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let at = 0; at < 64; at += 1) {
      const choice = (e & f) ^ (~e & g);
      const first = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + choice + K[at] + words[at]) | 0;
      const majority = (a & b) ^ (a & c) ^ (b & c);
      const second = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + majority) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => { state[at] = (state[at] + word) | 0; });
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, at) => out.setUint32(at * 4, word >>> 0));
  return new Uint8Array(out.buffer);
}

/// Computes the hash.
export async function sha256(bytes) {
  if (globalThis.crypto?.subtle) return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return sha256InScript(bytes);
}
