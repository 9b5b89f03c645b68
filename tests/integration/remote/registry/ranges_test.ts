import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";
import {
  type RangeStyle,
  startRegistry,
} from "../../../support/registry/mod.ts";
import { BLOB_BYTES, fails, QUICK, readPart, scene } from "./helpers.ts";

/** Answers that hold what was asked for, in another form. */
const TAKEN: readonly RangeStyle[] = [
  { kind: "ok" },
  { kind: "wider", bytes: 1000 },
  { kind: "narrower", bytes: 70_000 },
];

for (const style of TAKEN) {
  scene(
    `a part is taken from an answer that is ${style.kind}`,
    {},
    async (s) => {
      s.registry.ranges = style;
      await readPart(s, 1000, 200_000);
      await readPart(s, 0, 1);
      await readPart(s, BLOB_BYTES - 1, BLOB_BYTES);
      assert.ok(s.registry.requests.every(({ range }) => range !== null));
    },
  );
}

const NONE: readonly RangeStyle[] = [
  { kind: "ignored" },
  { kind: "unlabelled" },
  { kind: "multipart" },
];

for (const style of NONE) {
  scene(
    `a registry whose parts are ${style.kind} is remembered as one without`,
    {},
    async (s) => {
      s.registry.ranges = style;
      await fails("range", readPart(s, 1000, 2000));
      await fails("range", readPart(s, 1000, 2000));
      assert.equal(s.registry.requests.length, 1);
      await s.client.blobBytes(s.reference, s.blob, { maxBytes: BLOB_BYTES });
    },
  );
}

for (
  const status of [400, 403, 405, 406, 411, 412, 416, 417, 422, 501, 520]
) {
  scene(
    `parts refused by ${status} are remembered once the whole blob came`,
    {},
    async (s) => {
      s.registry.ranges = { kind: "refused", status };
      await fails("range", readPart(s, 1000, 2000));
      await fails("range", readPart(s, 1000, 2000));
      // It may be the blob that is refused, or an address or a login that ended.
      const tries = status === 400 || status === 403 ? 3 : 1;
      assert.equal(s.registry.requests.length, 2 * tries);
      await s.client.blobBytes(s.reference, s.blob, { maxBytes: BLOB_BYTES });
      await fails("range", readPart(s, 1000, 2000));
      assert.equal(s.registry.requests.length, 2 * tries + 1);
    },
  );
}

scene(
  "a blob that is refused does not make its registry one without parts",
  {},
  async (s) => {
    const { registry, client, reference, blob } = s;
    registry.faults.add({ kind: "status", status: 403, times: 4 });
    const error = await fails("range", readPart(s, 1000, 2000));
    assert.equal((error.cause as { kind?: string }).kind, "forbidden");
    await fails(
      "forbidden",
      client.blobBytes(reference, blob, { maxBytes: 1e6 }),
    );
    const other = registry.addBlob("team/app", new Uint8Array(10));
    await client.blobBytes(reference, other, { maxBytes: 10 });
    await readPart(s, 1000, 2000);
  },
);

scene(
  "a part that is all of the blob may come as the whole of it",
  {},
  async (s) => {
    s.registry.ranges = { kind: "ignored" };
    await readPart(s, 0, BLOB_BYTES);
    await readPart(s, 0, BLOB_BYTES);
  },
);

scene(
  "a registry that gives crumbs is not asked crumb by crumb",
  {},
  async (s) => {
    s.registry.ranges = { kind: "narrower", bytes: 1000 };
    await fails("range", readPart(s, 0, 200_000));
    assert.equal(s.registry.requests.length, 1);
  },
);

for (const status of [400, 401, 403, 501]) {
  scene(
    `signed addresses that refuse parts (${status}) are a registry without them`,
    {
      registry: { redirect: { lifeMs: 60_000 } },
    },
    async (s) => {
      s.registry.ranges = { kind: "refused", status };
      await fails("range", readPart(s, 1000, 2000));
      await s.client.blobBytes(s.reference, s.blob, { maxBytes: BLOB_BYTES });
      const { length } = s.registry.requests;
      await fails("range", readPart(s, 1000, 2000));
      assert.equal(s.registry.requests.length, length);
    },
  );
}

for (const kind of ["ignored", "multipart", "unlabelled"] as const) {
  scene(
    `a stream that breaks off goes on where parts are ${kind}`,
    {},
    async (s) => {
      const { client, reference, blob, bytes, registry } = s;
      registry.ranges = { kind };
      registry.faults.add({ kind: "truncate", afterBytes: 100_000, times: 2 });
      const stream = await client.blob(reference, blob);
      assert.equal(sha256(await new Response(stream).bytes()), sha256(bytes));
    },
  );
}

for (const status of [400, 403, 416, 422]) {
  scene(
    `a stream that breaks off goes on where parts are refused by ${status}`,
    {},
    async (s) => {
      const { client, reference, blob, bytes, registry } = s;
      registry.ranges = { kind: "refused", status };
      registry.faults.add({ kind: "truncate", afterBytes: 100_000, times: 1 });
      const stream = await client.blob(reference, blob);
      assert.equal(sha256(await new Response(stream).bytes()), sha256(bytes));
    },
  );
}

scene(
  "a place that breaks off again and again is not sent for the whole blob for ever",
  {},
  async (s) => {
    s.registry.ranges = { kind: "ignored" };
    s.registry.faults.add({ kind: "truncate", afterBytes: 200_000 });
    const stream = await s.client.blob(s.reference, s.blob);
    await assert.rejects(new Response(stream).bytes());
    assert.equal(s.registry.requests.length, 1 + QUICK.retry.retries);
  },
);

Deno.test("a mirror without parts is passed over for a registry that has them, and used where that is gone", async () => {
  const registry = startRegistry();
  await using mirror = startRegistry();
  mirror.ranges = { kind: "ignored" };
  const bytes = new Uint8Array(1000).fill(7);
  const blob = registry.addBlob("a/b", bytes);
  mirror.addBlob("a/b", bytes);
  using client = new RegistryClient({
    ...QUICK,
    mirrors: () => [{ url: mirror.url }],
  });
  const place = { host: registry.host, repository: "a/b" };
  const into = new Uint8Array(10);
  await client.range(place, blob.digest, 5, 15, into);
  await client.range(place, blob.digest, 5, 15, into);
  assert.equal(mirror.requests.length, 1);
  assert.equal(registry.requests.length, 2);
  // It is not at rest for that: whatever is no part comes from it as before.
  await client.blobBytes(place, blob, { maxBytes: 1000 });
  assert.equal(registry.requests.length, 2);
  await registry.close();
  await fails("range", client.range(place, blob.digest, 5, 15, into));
  await client.blobBytes(place, blob, { maxBytes: 1000 });
});

scene(
  "of a part that is longer than it says the wanted bytes are taken",
  {},
  async (s) => {
    const { registry, bytes } = s;
    registry.intercept = (path, { headers }) => {
      if (!path.includes("/blobs/") || !headers.has("range")) return null;
      const body = ReadableStream.from([bytes.subarray(1000, 3000)]);
      return new Response(body, {
        status: 206,
        headers: { "content-range": `bytes 1000-1999/${bytes.length}` },
      });
    };
    await readPart(s, 1000, 2000);
    assert.equal(registry.requests.length, 1);
  },
);

scene(
  "another part than asked for is a fault that may pass",
  {},
  async (s) => {
    s.registry.faults.add({ kind: "shift", times: 2 });
    await readPart(s, 1000, 2000);
    s.registry.faults.add({ kind: "shift" });
    await fails("range", readPart(s, 1000, 2000));
    s.registry.faults.clear();
    await readPart(s, 1000, 2000);
  },
);

scene("a signed address that ends on its way is no registry without parts", {
  registry: { redirect: { lifeMs: 60_000 } },
}, async (s) => {
  s.registry.faults.add({ kind: "status", status: 403, times: 2 });
  await readPart(s, 1000, 2000);
  await s.client.blobBytes(s.reference, s.blob, { maxBytes: BLOB_BYTES });
  await readPart(s, 2000, 3000);
});

scene(
  "requests for ranges are tried again as often as is said for them, others as often as for all",
  {
    client: {
      retry: { retries: 1, minWaitMs: 1 },
      rangeRetry: { retries: 4, minWaitMs: 1 },
    },
  },
  async ({ registry, client, reference, blob, ...rest }) => {
    registry.faults.add({ kind: "status", status: 503 });
    const scene = { registry, client, reference, blob, ...rest };
    await fails("unavailable", readPart(scene, 0, 10));
    assert.equal(registry.requests.length, 5);
    await fails(
      "unavailable",
      client.blobBytes(reference, blob, { maxBytes: BLOB_BYTES }),
    );
    assert.equal(registry.requests.length, 5 + 2);
  },
);
