/** Ztocs of layers that are taken whole: they come into files. */
import assert from "node:assert/strict";
import { bringZtoc } from "../../../../lib/images/lazy/whole_known.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { incompressible } from "../../../support/images/mod.ts";
import { SmallDisk } from "../../../support/host/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";

Deno.test("a ztoc that is to come into a file is not asked for where the disk has no room, and given up where others take it", async () => {
  await using registry = startRegistry();
  await using disk = await SmallDisk.make("tmpfs", 16);
  using client = new RegistryClient();
  const bytes = new Uint8Array(incompressible(9_000_000, 4));
  const { digest } = registry.addBlob("a/b", bytes);
  Deno.mkdirSync(disk.root);
  const path = `${disk.root}/known.ztoc`;
  const reference = parseReference(`${registry.host}/a/b:1`);
  const bring = () =>
    bringZtoc(
      { mediaType: "application/octet-stream", digest, size: bytes.length },
      path,
      AbortSignal.timeout(60_000),
      (...part) => client.range(reference, digest, ...part),
    );
  const others = `${disk.folder}/others`;
  Deno.writeFileSync(others, new Uint8Array(8_000_000));
  await assert.rejects(bring(), /room for/);
  assert.deepEqual(registry.requests, []);
  Deno.removeSync(others);
  await bring();
  assert.deepEqual(Deno.readFileSync(path), bytes);
  Deno.removeSync(path);
  registry.intercept = () => {
    Deno.writeFileSync(others, new Uint8Array(8_000_000));
    return null;
  };
  await assert.rejects(bring(), /room for/);
  assert.ok(Deno.statSync(path).size < bytes.length);
});
