import { createCipheriv } from "node:crypto";

/** Incompressible bytes. The same seed gives the same bytes. */
export function incompressible(size: number, seed = 1): Uint8Array {
  const key = new Uint8Array(32).fill(seed);
  const cipher = createCipheriv("aes-256-ctr", key, new Uint8Array(16));
  return new Uint8Array(cipher.update(new Uint8Array(size)));
}

/** Text lines that compress well. Each has its number, so that no two places are equal. */
export function compressible(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const encoder = new TextEncoder();
  for (let at = 0, line = 0; at < size; line++) {
    const text = encoder.encode(
      `line ${line}: the quick brown fox jumps over\n`,
    );
    bytes.set(text.subarray(0, size - at), at);
    at += text.length;
  }
  return bytes;
}
