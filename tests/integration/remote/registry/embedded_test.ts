import assert from "node:assert/strict";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { noise, startRegistry } from "../../../support/registry/mod.ts";
import { QUICK } from "./helpers.ts";

Deno.test("the embedded registry keeps its folder from one run to the next", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const bytes = noise(1000);
    let blob, image;
    {
      await using first = startRegistry({ folder });
      blob = first.addBlob("a/b", bytes);
      image = first.addManifest("a/b", { schemaVersion: 2 }, { tag: "v1" });
    }
    await using second = startRegistry({ folder });
    using client = new RegistryClient(QUICK);
    const reference = parseReference(`${second.host}/a/b:v1`);
    assert.deepEqual(await client.resolve(reference), image);
    assert.deepEqual(
      await client.blobBytes(reference, blob, { maxBytes: 1000 }),
      bytes,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the embedded registry lists tags in pages and deletes", async () => {
  await using registry = startRegistry();
  const ask = async (method: string, path: string) => {
    const response = await fetch(`${registry.url}/v2/a/b/${path}`, { method });
    const text = await response.text();
    return { status: response.status, text, headers: response.headers };
  };
  const { digest } = registry.addManifest("a/b", { schemaVersion: 2 }, {
    tag: "v1",
  });
  registry.addManifest("a/b", { schemaVersion: 2 }, { tag: "v2" });

  const page = await ask("GET", "tags/list?n=1");
  assert.deepEqual(JSON.parse(page.text), { name: "a/b", tags: ["v1"] });
  assert.match(page.headers.get("link")!, /last=v1/);
  assert.equal((await ask("DELETE", "manifests/v1")).status, 202);
  assert.equal((await ask("GET", "manifests/v1")).status, 404);
  assert.equal((await ask("DELETE", `manifests/${digest}`)).status, 202);
  assert.equal((await ask("GET", "manifests/v2")).status, 404);
});
