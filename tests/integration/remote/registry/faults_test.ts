import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { fails, QUICK, readPart, scene } from "./helpers.ts";

scene("a connection that breaks goes on where it broke", {}, async (s) => {
  s.registry.faults.add({ kind: "truncate", afterBytes: 70_000, times: 2 });
  await readPart(s, 0, 250_000);
  assert.equal(s.registry.requests.length, 3);
  const [, second] = s.registry.requests;
  const from = Number(/\d+/.exec(second!.range!)![0]);
  assert.ok(from > 0 && from <= 70_000, second!.range!);
});

scene("a stream goes on after a break and after a stall", {}, async (s) => {
  const { client, reference, blob, bytes, registry } = s;
  registry.faults.add({ kind: "truncate", afterBytes: 100_000, times: 1 });
  registry.faults.add({ kind: "stall", afterBytes: 100_000, times: 1 });
  const stream = await client.blob(reference, blob);
  const got = await new Response(stream).bytes();
  assert.equal(sha256(got), sha256(bytes));
  assert.equal(registry.requests.length, 3);
});

scene("a stalled body is given up and asked for again", {}, async (s) => {
  s.registry.faults.add({ kind: "stall", afterBytes: 1000, times: 1 });
  await readPart(s, 0, 100_000);
});

scene("a registry that says nothing is given up", {}, async (s) => {
  s.registry.faults.add({ kind: "silence", times: 1 });
  await readPart(s, 0, 1000);
  assert.equal(s.registry.requests.length, 2);
});

scene("patience ends", {}, async (s) => {
  s.registry.faults.add({ kind: "truncate", afterBytes: 0 });
  const error = await fails("unavailable", readPart(s, 0, 1000));
  assert.equal(s.registry.requests.length, 4);
  assert.match(error.message, /team\/app/);
});

scene("server errors pass, and are told when they do not", {}, async (s) => {
  s.registry.faults.add({ kind: "status", status: 503, times: 2 });
  await readPart(s, 0, 1000);
  for (const status of [500, 503]) {
    s.registry.faults.add({ kind: "status", status, times: 4 });
    const error = await fails("unavailable", readPart(s, 0, 1000));
    assert.equal(error.status, status);
  }
});

scene("Retry-After is waited for", {}, async (s) => {
  s.registry.faults.add({
    kind: "status",
    status: 429,
    retryAfter: "1",
    times: 1,
  });
  const start = performance.now();
  await readPart(s, 0, 1000);
  assert.ok(performance.now() - start >= 990);
});

scene("an abort ends a wait, an exchange and a body at once", {}, async (s) => {
  for (
    const fault of [
      { kind: "status", status: 429, retryAfter: "1", times: 1 },
      { kind: "silence", times: 1 },
      { kind: "stall", afterBytes: 10, times: 1 },
    ] as const
  ) {
    s.registry.faults.add(fault);
    const start = performance.now();
    const reason = new Error("enough");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    await assert.rejects(
      readPart(s, 0, 1000, controller.signal),
      (error) => error === reason,
    );
    assert.ok(performance.now() - start < 150);
  }
});

scene("an aborted signal sends nothing", {}, async (s) => {
  await assert.rejects(readPart(s, 0, 10, AbortSignal.abort(new Error("no"))));
  assert.equal(s.registry.requests.length, 0);
});

Deno.test("a registry that is gone is unavailable", async () => {
  using client = new RegistryClient(QUICK);
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const error = await fails(
    "unavailable",
    client.resolve(parseReference(`127.0.0.1:${port}/a/b`)),
  );
  assert.ok(!error.message.includes("http://"), error.message);
});

const signed = { registry: { redirect: { lifeMs: 60_000 } } };

scene("a redirect is followed once and remembered", signed, async (s) => {
  await readPart(s, 0, 100);
  await readPart(s, 100, 200);
  assert.deepEqual(s.registry.requests.map(({ server }) => server), [
    "registry",
    "storage",
    "storage",
  ]);
});

scene("an expired redirect target is asked for anew", signed, async (s) => {
  await readPart(s, 0, 100);
  s.registry.signer.expire();
  await readPart(s, 100, 200);
  assert.deepEqual(
    s.registry.requests.map(({ server, status }) => `${server} ${status}`),
    [
      "registry 307",
      "storage 206",
      "storage 403",
      "registry 307",
      "storage 206",
    ],
  );
});

scene(
  "a target that expires in the middle of a blob is renewed",
  signed,
  async (s) => {
    const { client, reference, blob, bytes, registry } = s;
    registry.faults.add({ kind: "truncate", afterBytes: 100_000, times: 1 });
    const stream = await client.blob(reference, blob);
    registry.signer.expire();
    const got = await new Response(stream).bytes();
    assert.equal(sha256(got), sha256(bytes));
  },
);

scene("a fresh target that refuses is an error without its signature", {
  registry: { redirect: { lifeMs: -1 } },
}, async (s) => {
  const { reference, client, blob } = s;
  const whole = client.blobBytes(reference, blob, { maxBytes: 1e6 });
  const error = await fails("forbidden", whole);
  assert.ok(!error.message.includes("signature"), error.message);
});
