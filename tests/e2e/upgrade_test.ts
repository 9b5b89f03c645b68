/** The program's file is replaced while it runs, as packages do it; then the new one takes over. */
import assert from "node:assert/strict";
import { sociDenoWith, tryRun } from "../support/host/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { hostWithImage, readsRight } from "./checked_host.ts";
import { buildIndex } from "./host.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";

/** The compiled program, where these tests run that; else it is a Deno that is replaced. */
const BINARY = Deno.env.get("SOCI_DENO_TEST_BINARY");

/** Puts a file in the place of another, as dpkg and rpm do. */
async function replace(path: string, by: string): Promise<void> {
  await Deno.rename(by, path);
}

/** The file that a process runs, as the kernel names it. */
const programOf = (pid: number) => Deno.readLink(`/proc/${pid}/exe`);

Deno.test("replaced by rename while it runs, the daemon mounts and serves on, outlives a successor that fails, and hands over to one that works", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-upgrade-" });
  const path = BINARY ?? `${folder}/deno`;
  const original = BINARY ?? Deno.execPath();
  const good = [`${path}.good`, `${path}.next`] as const;
  try {
    for (const copy of BINARY === undefined ? [path, ...good] : good) {
      const { code, stderr } = await tryRun("cp", [
        ...["--reflink=auto", original, copy],
      ], { timeoutMs: 60_000 });
      assert.equal(code, 0, stderr);
    }
    await using registry = startRegistry();
    const { host, image } = await hostWithImage(
      registry,
      BINARY === undefined ? { program: path } : {},
    );
    await using _host = host;
    const { pid } = host;
    assert.equal(await programOf(pid), path);

    await replace(path, good[0]);
    assert.equal(await programOf(pid), `${path} (deleted)`);
    const other = `${registry.host}/other:1`;
    const layer = new TarBuilder().file("file", incompressible(100_000));
    await pushImage(
      registry.host,
      "other:1",
      makeImage({ layers: [layerBlob(layer)] }),
    );
    await buildIndex("--min-layer-size", "0", other);
    const { layers } = await host.pull(other);
    assert.deepEqual(layers.map(({ outcome }) => outcome), ["served"]);

    await Deno.writeTextFile(`${path}.broken`, "#!/bin/sh\nexit 7\n", {
      mode: 0o755,
    });
    await replace(path, `${path}.broken`);
    const { program, args } = sociDenoWith(
      ...[[], "serve", "--takeover", "--root", host.root] as const,
      ...["--address", host.socket, "--config", `${host.folder}/config.toml`],
    );
    const failed = await tryRun(BINARY === undefined ? path : program, args);
    assert.equal(failed.code, 7, failed.stderr);
    assert.equal(host.pid, pid);
    assert.ok(await readsRight(host, image), "after a successor that failed");

    await replace(path, good[1]);
    await host.takeOver();
    assert.notEqual(host.pid, pid);
    assert.equal(await programOf(host.pid), path);
    await host.reconnected();
    assert.ok(await readsRight(host, image), "by the new program");
    assert.match(host.logs(), /mounts taken over/);
  } finally {
    for (const copy of good) await Deno.rename(copy, path).catch(() => {});
    await Deno.remove(folder, { recursive: true });
  }
});
