import assert from "node:assert/strict";
import { MEDIA, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { BLOB_BYTES, fails, readPart, scene } from "./helpers.ts";

const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, layers: [] };

scene("a tag is resolved by HEAD alone", {}, async (s) => {
  const { registry, client, reference } = s;
  const pushed = registry.addManifest("team/app", manifest, { tag: "v1" });
  assert.deepEqual(await client.resolve(reference), pushed);
  assert.deepEqual(registry.requests.map(({ method }) => method), ["HEAD"]);
});

scene("a manifest comes with its bytes and digest", {}, async (s) => {
  const { registry, client, reference } = s;
  const pushed = registry.addManifest("team/app", manifest, { tag: "v1" });
  const found = await client.manifest(reference);
  assert.deepEqual(found.descriptor, pushed);
  assert.equal(sha256(found.bytes), pushed.digest);
  const again = await client.manifest(reference, { digest: pushed.digest });
  assert.deepEqual(again, found);
});

scene("what is not there is not-found", {}, async (s) => {
  const { client, reference } = s;
  const error = await fails("not-found", client.resolve(reference));
  assert.equal(error.status, 404);
  await fails("not-found", client.manifest(reference, { tag: "v2" }));
  const digest = sha256(new Uint8Array(1));
  await fails(
    "not-found",
    client.range(reference, digest, 0, 1, new Uint8Array(1)),
  );
});

scene(
  "a manifest with other bytes than its digest is refused",
  {},
  async (s) => {
    const { registry, client, reference } = s;
    const { digest } = registry.addManifest("team/app", manifest);
    const { manifests } = registry.store.repository("team/app");
    const stored = manifests.get(digest)!;
    manifests.set(digest, { ...stored, bytes: new Uint8Array(3) });
    await fails("integrity", client.manifest(reference, { digest }));
  },
);

scene("ranges are read exactly, also the last byte", {}, async (s) => {
  await readPart(s, 0, 1);
  await readPart(s, 1000, 200_000);
  await readPart(s, BLOB_BYTES - 1, BLOB_BYTES);
  await readPart(s, 5, 5);
  assert.equal(s.registry.bytesServed(), 1 + 199_000 + 1);
});

scene("a range past the end is an error", {}, async (s) => {
  const { client, reference, blob } = s;
  const read = (start: number, end: number) =>
    client.range(
      reference,
      blob.digest,
      start,
      end,
      new Uint8Array(end - start),
    );
  await fails("range", read(BLOB_BYTES, BLOB_BYTES + 10));
  await fails("range", read(BLOB_BYTES - 5, BLOB_BYTES + 5));
});

scene("another range than asked for is refused", {}, async (s) => {
  s.registry.faults.add({ kind: "shift" });
  await fails("range", readPart(s, 1000, 2000));
});

scene("a blob streams from any offset", {}, async (s) => {
  const { client, reference, blob, bytes } = s;
  for (const offset of [0, 1, 299_999, BLOB_BYTES]) {
    const stream = await client.blob(reference, blob, { offset });
    const got = await new Response(stream).bytes();
    assert.equal(sha256(got), sha256(bytes.subarray(offset)));
  }
});

scene(
  "a whole blob is checked against digest, size and limit",
  {},
  async (s) => {
    const { registry, client, reference, blob, bytes } = s;
    const read = (more: { size?: number; maxBytes?: number }) =>
      client.blobBytes(reference, { ...blob, ...more }, {
        maxBytes: more.maxBytes ?? BLOB_BYTES,
      });
    assert.equal(sha256(await read({})), sha256(bytes));
    await fails("too-large", read({ maxBytes: BLOB_BYTES - 1 }));
    await fails("integrity", read({ size: BLOB_BYTES - 1 }));
    await fails("integrity", read({ size: BLOB_BYTES + 1, maxBytes: 1e6 }));
    registry.faults.add({ kind: "corrupt", times: 1 });
    await fails("integrity", read({}));
    const empty = registry.addBlob("team/app", new Uint8Array());
    assert.equal(
      (await client.blobBytes(reference, empty, { maxBytes: 0 })).length,
      0,
    );
  },
);

scene("a reader that leaves early ends its connection", {}, async (s) => {
  const { client, reference, blob } = s;
  const stream = await client.blob(reference, blob);
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
});

scene("a reader may leave while the registry stalls", {
  client: { timeouts: { headersMs: 5000, idleMs: 5000 } },
}, async (s) => {
  const { client, reference, blob, registry } = s;
  registry.faults.add({ kind: "stall", afterBytes: 10 });
  const reader = (await client.blob(reference, blob)).getReader();
  await reader.read();
  const waiting = reader.read();
  const start = performance.now();
  await reader.cancel();
  assert.equal((await waiting).done, true);
  assert.ok(performance.now() - start < 500);
  await (await client.blob(reference, blob)).cancel();
});

scene("a reader may pause for longer than the idle limit", {}, async (s) => {
  const { client, reference, blob, bytes } = s;
  const stream = await client.blob(reference, blob);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of stream) {
    if (parts.length === 0) await new Promise((go) => setTimeout(go, 350));
    parts.push(chunk);
  }
  assert.equal(
    sha256(await new Blob(parts).bytes()),
    sha256(bytes),
  );
  assert.equal(s.registry.requests.length, 1);
});
