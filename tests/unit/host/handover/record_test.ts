import assert from "node:assert/strict";
import {
  askRecording,
  ControlServer,
  type SpokenRead,
} from "../../../../lib/host/handover/mod.ts";

/** A daemon that records so many reads, and what became of its recordings. */
async function setUp(reads: SpokenRead[]) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-record-" });
  const path = `${folder}/control.sock`;
  const asked: (readonly string[])[] = [];
  const ended = Promise.withResolvers<void>();
  const server = ControlServer.listen(path, {
    status: () => null,
    record: (layers) => {
      asked.push(layers);
      return {
        served: layers.slice(0, 2),
        reads: () => reads,
        lost: 7,
        [Symbol.dispose]: () => ended.resolve(),
      };
    },
  });
  return {
    path,
    asked,
    ended: ended.promise,
    async [Symbol.asyncDispose]() {
      server[Symbol.dispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

const many = (count: number) =>
  Array.from({ length: count }, (_, i): SpokenRead => [i % 2, i, 4096, i, 0]);

for (const count of [0, 1, 2048, 5000]) {
  Deno.test(`a recording of ${count} reads comes whole through the control socket`, async () => {
    const reads = many(count);
    await using daemon = await setUp(reads);
    // More than one buffer's worth of digests.
    const layers = Array.from(
      { length: 500 },
      (_, i) => `sha256:${i}`.padEnd(71, "0"),
    );
    using client = (await askRecording(daemon.path, layers))!;
    assert.deepEqual(daemon.asked, [layers]);
    assert.deepEqual(client.served, layers.slice(0, 2));
    assert.deepEqual(await client.progress(), {
      reads: count,
      lost: 7,
      lastMs: count === 0 ? null : count - 1,
    });
    assert.deepEqual(await client.end(), reads);
    await daemon.ended;
  });
}

Deno.test("a recording ends with the connection of whoever asked for it", async () => {
  await using daemon = await setUp(many(3));
  const client = (await askRecording(daemon.path, ["a"]))!;
  client[Symbol.dispose]();
  await daemon.ended;
});

Deno.test("no recording is made where no daemon runs", async () => {
  assert.equal(await askRecording("/no/such/control.sock", []), null);
});
