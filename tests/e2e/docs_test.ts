/** Every command that the docs tell is run, on a host with an indexed image; what cannot be run here is listed. */
import assert from "node:assert/strict";
import { sociDenoCommand, tryRun } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { LazyHost } from "./host.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const SYSTEMD = "systemd would start what is on this machine: systemd_test.ts";
const TREE = "changes this machine: install_test.ts runs it in a tree";
const RELEASE = "release_test.ts makes and unpacks what is published";
const TASK = "a task of the checkout, which is run by itself";

/** Commands that are not run here, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "npx -y deno@2.9.6 task quickstart": TASK,
  "npx -y deno@2.9.6 task test": TASK,
  "npm install -g deno@2.9.6": "changes this machine",
  "deno task quickstart": TASK,
  "deno task test tests/unit/formats": TASK,
  "deno task test tests/e2e/lazy_test.ts": TASK,
  "deno task test": TASK,
  "deno task test:long": TASK,
  "deno task compiled": "compiled_test.ts runs its short form",
  "deno task ok": TASK,
  "deno task test:arm64": "arm64_test.ts runs it",
  "deno task bundle": "compile_test.ts bundles",
  "deno task compile": "compile_test.ts compiles",
  "deno task compile dist/soci-deno-arm64 aarch64": "compile_test.ts compiles",
  "deno task release": RELEASE,
  "tar -xzf soci-deno-0.1.0-linux-x86_64.tar.gz -C /usr/local --strip-components=1":
    RELEASE,
  "apt-get install ./soci-deno_0.1.0_amd64.deb": RELEASE,
  "soci-deno install": TREE,
  "soci-deno install --yes": TREE,
  "soci-deno uninstall --yes": TREE,
  "systemctl daemon-reload": SYSTEMD,
  "systemctl enable --now soci-snapshotter.socket soci-snapshotter.service":
    SYSTEMD,
  "systemctl restart containerd": SYSTEMD,
  "systemctl restart soci-snapshotter.service": SYSTEMD,
  "soci-deno doctor": "examines this machine's containerd: ops_test.ts",
  "echo 1 > /sys/fs/fuse/connections/<minor>/abort":
    "ends the mounts that the other commands read: for a daemon that is gone",
};

interface Told {
  readonly page: string;
  readonly command: string;
}

/** Every command of every page, once, in the order of the pages. */
function commandsOfDocs(): readonly Told[] {
  const pages = [
    ...["README.md", "docs/quickstart.md"],
    ...[...Deno.readDirSync(`${ROOT}docs`)].map(({ name }) => `docs/${name}`)
      .filter((name) => name.endsWith(".md")).sort(),
    "CONTRIBUTING.md",
  ];
  const told = new Map<string, Told>();
  for (const page of pages) {
    const text = Deno.readTextFileSync(`${ROOT}${page}`);
    const fences = text.matchAll(/^( *)```console\n([^]*?)^\1```$/gm);
    for (const [, indent = "", body = ""] of fences) {
      for (const line of body.trimEnd().split("\n")) {
        const command = line.slice(indent.length)
          .replace(/^[$#] /, "").replace(/ {2,}#.*$/, "");
        if (!told.has(command)) told.set(command, { page, command });
      }
    }
  }
  return [...told.values()];
}

Deno.test("the docs tell commands that work: each is run, or listed here with why it is not", async (t) => {
  const told = commandsOfDocs();
  const known = told.map(({ command }) => command);
  for (const command of Object.keys(NOT_RUN)) {
    assert.ok(known.includes(command), `no page tells \`${command}\` any more`);
  }
  await using registry = startRegistry();
  await pushImage(
    registry.host,
    "app:1",
    makeImage({
      layers: [
        layerBlob(addBusybox(new TarBuilder())),
        layerBlob(
          new TarBuilder().dir("data").file("data/file", incompressible(12e6)),
        ),
      ],
      config: {
        env: ["PATH=/bin"],
        cmd: ["/bin/sh", "-c", "head -c 9 /data/file"],
      },
    }),
  );
  await using host = await LazyHost.start();
  const { program, args } = sociDenoCommand();
  const quoted = [program, ...args].map((word) => `'${word}'`).join(" ");
  await Deno.mkdir(`${host.folder}/bin`);
  await Deno.writeTextFile(
    `${host.folder}/bin/soci-deno`,
    `#!/bin/sh\nexec ${quoted} "$@"\n`,
    { mode: 0o755 },
  );
  for (const { page, command } of told) {
    if (Object.hasOwn(NOT_RUN, command)) continue;
    await t.step(`${page}: ${command}`, async () => {
      const { code, stdout, stderr } = await tryRun("sh", [
        "-c",
        command.replaceAll("registry.example", registry.host),
      ], {
        cwd: host.folder,
        env: {
          PATH: `${host.folder}/bin:${Deno.env.get("PATH")}`,
          CONTAINERD_ADDRESS: host.containerd.address,
          SOCI_SNAPSHOTTER_ROOT: host.root,
          SOCI_SNAPSHOTTER_CONFIG: `${host.folder}/config.toml`,
        },
        timeoutMs: 60_000,
      });
      assert.equal(code, 0, `${stdout}\n${stderr}`);
    });
  }
});
