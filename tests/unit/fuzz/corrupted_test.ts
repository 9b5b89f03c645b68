import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mutate, randomFrom, savedInputs, TARGETS } from "../../fuzz/mod.ts";

/** Of all targets together. */
const INPUTS = 17_000;
const MIB = 2 ** 20;

function residentBytes(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(status.match(/VmRSS:\s+(\d+)/)![1]) * 1024;
}

for (const target of TARGETS) {
  Deno.test(`good inputs of ${target.name}, and those of the corpus, are taken or refused as they must be`, () => {
    for (const seed of target.seeds()) target.read(seed.slice()); // consistent
    const saved = savedInputs(target);
    assert.ok(saved.length > 0);
    for (const { name, bytes, outcome } of saved) {
      assert.equal(target.read(bytes), outcome, name);
    }
    target.read(new Uint8Array(0));
  });
}

Deno.test(`${INPUTS} corrupted inputs give a typed error or something consistent, in bounded memory`, () => {
  const each = INPUTS / TARGETS.length;
  const random = randomFrom(20_240_229);
  const totals = { taken: 0, refused: 0 };
  const before = residentBytes();
  let most = before;
  for (const target of TARGETS) {
    const corpus = target.seeds();
    for (let i = 0; i < each; i++) {
      const changed = mutate(corpus, random);
      const input = target.repair !== undefined && random(4) > 0
        ? target.repair(changed)
        : changed;
      const copy = input.slice();
      try {
        totals[target.read(input)]++;
      } catch (cause) {
        throw new Error(
          `${target.name}, input ${i}: ${copy.subarray(0, 2000).toHex()}`,
          { cause },
        );
      }
      assert.ok(
        Buffer.compare(input, copy) === 0,
        "a reader leaves its input alone",
      );
      if (i % 100 === 0) most = Math.max(most, residentBytes());
    }
  }
  assert.equal(totals.taken + totals.refused, INPUTS);
  // A test in which nothing comes through, or nothing is refused, would prove nothing.
  assert.ok(totals.taken > INPUTS / 50, JSON.stringify(totals));
  assert.ok(totals.refused > INPUTS / 2, JSON.stringify(totals));
  const grown = (most - before) / MIB;
  // V8 collects when it likes: what this finds is one input that makes gigabytes.
  assert.ok(grown < 800, `memory grew by ${grown.toFixed(0)} MiB`);
});
