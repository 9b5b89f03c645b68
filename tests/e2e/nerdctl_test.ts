/**
 * The command lines that nerdctl 2 runs of a `soci` that it finds in `PATH`, and what it does with the answers: by
 * `pkg/snapshotterutil/sociutil.go` of its sources (`CheckSociVersion`, `ConvertSociIndexV2`, `CreateSociIndexV1`,
 * `PushSoci`). nerdctl itself is not run here.
 * @module
 */
import assert from "node:assert/strict";
import { sociDenoNamed, tryRun } from "../support/host/mod.ts";
import { ToolsHost, toolsIndex } from "./tools_host.ts";

/** nerdctl's least release for `convert`. */
const LEAST = [0, 10, 0];
/** Its default `hosts_dir`, which it joins so. */
const HOSTS_DIR = "/etc/containerd/certs.d,/etc/docker/certs.d";
const PLATFORM = ["--platform", "linux/amd64"];
const SIZES = ["--span-size", "524288", "--min-layer-size", "100"];

/** A folder for `PATH` with a `soci` in it. */
async function folderWithSoci(folder: string): Promise<string> {
  const bin = `${folder}/bin`;
  await Deno.mkdir(bin);
  const named = `${folder}/named`;
  await Deno.mkdir(named);
  const { program, args } = await sociDenoNamed(named, "soci");
  const quoted = [program, ...args].map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(
    `${bin}/soci`,
    `#!/bin/sh\nexec ${quoted} "$@"\n`,
    { mode: 0o755 },
  );
  return bin;
}

Deno.test("the lines that nerdctl runs of soci: version, convert, create, push", async (t) => {
  await using host = await ToolsHost.start();
  const ref = await host.add("app:1", toolsIndex());
  const bin = await folderWithSoci(host.folder);
  const soci = async (...args: string[]) => {
    const ran = await tryRun(`${bin}/soci`, args, {
      timeoutMs: 60_000,
      env: { SOCI_SNAPSHOTTER_ROOT: `${host.folder}/root` },
    });
    assert.equal(ran.code, 0, ran.stderr);
    // Read only when stdout is at its end: what a pipe does not hold would stop both.
    assert.ok(ran.stderr.length < 64 * 1024, ran.stderr);
    return ran;
  };
  const global = [
    ...["--address", host.containerd.address],
    ...["--namespace", "default"],
  ];

  await t.step("the version is new enough", async () => {
    const { stdout, stderr } = await soci("--version");
    const [, found = ""] = /v?(\d+\.\d+\.\d+)/.exec(`${stdout}${stderr}`) ??
      [];
    const parts = found.split(".").map(Number);
    const differs = parts.findIndex((part, i) => part !== LEAST[i]);
    assert.ok(differs < 0 || parts[differs]! > LEAST[differs]!, found);
  });

  await t.step(
    "image convert --soci: the new image is there by its name, and can be pushed",
    async () => {
      for (
        const [tag, flags] of [
          ["all", ["--all-platforms", ...SIZES]],
          ["one", [...PLATFORM, ...SIZES]],
          ["host", SIZES],
        ] as const
      ) {
        const to = host.ref(`app:${tag}`);
        await soci(...global, "convert", ...flags, ref, to);
        const images = await host.containerd.ctr("images", "ls");
        assert.match(images, new RegExp(`^${to} .* sha256:\\w{64} `, "m"));
      }
      const to = host.ref("app:one");
      await host.containerd.ctr("images", "push", "--plain-http", to);
      const { images: [image] } = JSON.parse(
        await host.tool("inspect", "--json", to),
      );
      assert.equal(image.index.version, 2);
    },
  );

  await t.step("push with --snapshotter soci: create, then push", async () => {
    await soci(...global, "create", ...PLATFORM, ...SIZES, ref);
    await soci(
      ...[...global, "push", ...PLATFORM, "--skip-verify", "--plain-http"],
      ...["--hosts-dir", HOSTS_DIR, ref],
    );
    const { images: [image] } = JSON.parse(
      await host.tool("inspect", "--json", ...PLATFORM, ref),
    );
    assert.equal(image.index.version, 1);
  });
});
