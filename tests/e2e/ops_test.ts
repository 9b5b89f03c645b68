/** What an operator has to see by: doctor, status, its page on a terminal, the file for a bug report. */
import assert from "node:assert/strict";
import { ctrRun, sociDenoCommand, tryRun } from "../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { newerContainerd, testOnDebian } from "../support/peer/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { runOnTerminal } from "../support/terminal/mod.ts";
import { buildIndex, CONFIG, LazyHost, sociDeno } from "./host.ts";

const withArgs = (
  { program, args }: { readonly program: string; readonly args: string[] },
) => [program, args] as const;

Deno.test("an operator sees what a host serves, what is wrong with it, and what to send", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "seen:1", programImage());
  await pushImage(registry.host, "bare:1", programImage());
  const image = `${registry.host}/seen:1`;
  await buildIndex("--min-layer-size", "0", image);
  await using host = await LazyHost.start({ config: CONFIG });
  const { containerd, folder } = host;
  const root = ["--root", host.root];
  const doctor = async (...args: string[]) => {
    const { code, stdout, stderr } = await sociDeno(
      ...["doctor", "--no-cri", "--json", ...root],
      ...["--address", containerd.address],
      ...["--containerd-config", `${containerd.folder}/config.toml`],
      ...args,
    );
    assert.equal(stderr, "");
    const findings: { check: string; level: string; fix: string | null }[] =
      JSON.parse(stdout);
    return { code, findings };
  };

  await t.step(
    "doctor: nothing is wrong with this host and image",
    async () => {
      const { code, findings } = await doctor(image);
      assert.deepEqual(findings.filter(({ level }) => level === "fail"), []);
      assert.equal(code, 0);
      const checks = new Set(findings.map(({ check }) => check));
      for (
        const check of [
          ...["kernel", "fuse", "overlay", "erofs", "daemon"],
          ...["containerd", "registry", "index"],
        ]
      ) assert.ok(checks.has(check), check);
    },
  );

  await t.step(
    "doctor: an image without index, and one that is not there",
    async () => {
      const bare = await doctor(`${registry.host}/bare:1`);
      assert.equal(bare.code, 1);
      const index = bare.findings.find(({ check }) => check === "index");
      assert.match(index!.fix!, /soci-deno build-index .*bare:1/);
      const gone = await doctor(`${registry.host}/gone:1`);
      assert.equal(gone.code, 1);
      const answer = gone.findings.find(({ check }) => check === "registry");
      assert.match(answer!.fix!, /check the name/);
      const away = await doctor("127.0.0.1:9/away:1");
      assert.equal(away.findings.at(-1)!.check, "registry");
      assert.match(away.findings.at(-1)!.fix!, /check the network/);
    },
  );

  await t.step(
    "doctor: what containerd is told is read as its release reads it",
    async () => {
      const path = `${folder}/wrong.toml`;
      const text = await Deno.readTextFile(`${containerd.folder}/config.toml`);
      await Deno.writeTextFile(path, text.replace(/^version = \d$/m, ""));
      const { code, stdout } = await sociDeno(
        ...["doctor", "--no-cri", ...root, "--address", containerd.address],
        ...["--containerd-config", path],
      );
      assert.equal(code, 1);
      assert.match(
        stdout,
        /^FAIL {2}containerd .*has no `version = 2`.*to do: put `version = 2`/m,
      );
    },
  );

  await host.pull(image);
  await ctrRun(containerd, { image, id: "seen", snapshotter: "soci" });

  await t.step(
    "status leads with images by name and tag, their layers below",
    async () => {
      const { stdout } = await sociDeno("status", ...root);
      const [head, first, ...rest] = stdout.split("\n");
      assert.match(
        head!,
        /^IMAGE, LAYER +SLOT +FILES +SIZE +HERE +READ +TAKEN +NOW$/,
      );
      assert.match(first!, new RegExp(`^${image} +\\d+ +[\\d.]+ .*\\d+ %`));
      for (const line of rest.slice(0, 4)) {
        assert.match(line, /^ {2}sha256:[0-9a-f]{12} +\d+ +\d+ /);
      }
      assert.match(stdout, /^process: +\d+, up \d+ s$/m);
      const { images, layers } = JSON.parse(
        (await sociDeno("status", "--json", ...root)).stdout,
      );
      assert.equal(images.length, 1);
      assert.equal(images[0].name, image);
      assert.deepEqual(
        images[0].slots.toSorted(),
        layers.map(({ slot }: { slot: number }) => slot).toSorted(),
      );
      const read = layers.reduce(
        (sum: number, layer: { readBytes: number }) => sum + layer.readBytes,
        0,
      );
      assert.ok(read > 0, "what a container read is counted");
    },
  );

  await t.step(
    "status --watch draws a page, and leaves the terminal as it was",
    async () => {
      const { program, args } = sociDenoCommand("status", "--watch", ...root);
      const ran = await runOnTerminal({
        ...{ columns: 110, rows: 30, program, args },
        typed: { after: "IMAGE, LAYER", text: "\x03" },
      });
      assert.equal(ran.code, 0, ran.raw);
      assert.ok(ran.isRestored, JSON.stringify(ran.raw));
      // deno-lint-ignore no-control-regex -- a terminal's own sequences
      const page = ran.raw.replaceAll(/\x1b\[[?\d]*[A-Za-z]/g, "");
      assert.match(page, /Ctrl-C ends/);
      assert.ok(page.includes(image));
      for (const line of page.split("\r\n")) {
        assert.ok(
          line.length <= 110,
          line,
        );
      }
      const piped = await sociDeno("status", "--watch", ...root);
      assert.equal(piped.code, 2);
      assert.match(piped.stderr, /--watch needs a terminal/);
    },
  );

  await t.step("debug trace prints the reads of lazy layers", async () => {
    const tracing = sociDeno(
      ...["debug", "trace", "--for", "3s", "--json", ...root],
    );
    await ctrRun(containerd, { image, id: "traced", snapshotter: "soci" });
    const { code, stdout, stderr } = await tracing;
    assert.equal(code, 0, stderr);
    for (const line of stdout.trim().split("\n").filter((one) => one !== "")) {
      const { layer, length } = JSON.parse(line);
      assert.match(layer, /^sha256:/);
      assert.ok(length > 0);
    }
  });

  await t.step(
    "debug snapshot is one file with all of it, for its owner alone",
    async () => {
      const path = `${folder}/report.json`;
      const { code, stderr } = await sociDeno(
        ...["debug", "snapshot", "-o", path, ...root],
        ...["--address", containerd.address],
        ...["--config", `${folder}/config.toml`],
      );
      assert.equal(code, 0, stderr);
      const report = JSON.parse(await Deno.readTextFile(path));
      assert.equal(report.status.images[0].name, image);
      assert.ok(report.doctor.length > 4);
      assert.ok(report.mounts.length > 0);
      const log = JSON.stringify(report.log);
      assert.match(log, /"remote-snapshot-prepared":"true"/);
      assert.ok(
        report.files.some(({ path }: { path: string }) => path === "slots.db"),
      );
      assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    },
  );

  await t.step("debug snapshot has no secret of what it reads", async () => {
    const secret = "s3cr3tOfThisHost";
    const path = `${folder}/attacked.json`;
    await Deno.writeTextFile(
      `${folder}/secret.toml`,
      `[http]
password = "${secret}1"
[resolver.host."https://u:${secret}2@mirror.example"]
mirrors = [{ host = "https://u:${secret}3@other.example/?sig=${secret}4" }]
`,
    );
    await Deno.writeTextFile(
      `${folder}/containerd.toml`,
      `version = 2
[proxy_plugins.soci]
type = "snapshot"
address = "tcp://u:${secret}5@127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".registry.configs."a".auth]
password = "${secret}6"
`,
    );
    const { code, stderr } = await tryRun(
      ...withArgs(sociDenoCommand(
        ...["debug", "snapshot", "-o", path, ...root],
        ...["--address", containerd.address],
        ...["--config", `${folder}/secret.toml`],
        ...["--containerd-config", `${folder}/containerd.toml`],
      )),
      {
        timeoutMs: 60_000,
        env: {
          HTTPS_PROXY: `http://u:${secret}7@proxy.example`,
          SOCI_DENO_DEBUG: `password=${secret}8`,
        },
      },
    );
    assert.equal(code, 0, stderr);
    const text = await Deno.readTextFile(path);
    assert.ok(text.includes("names the socket"), "the finding is there");
    assert.equal(text.match(`.{0,200}${secret}`)?.[0], undefined);
  });

  await t.step(
    "pull shows bytes while it waits, and leaves what it did",
    async () => {
      await pushImage(
        registry.host,
        "waited:1",
        makeImage({
          layers: [layerBlob(
            new TarBuilder().file("data", incompressible(12 * 2 ** 20)),
          )],
        }),
      );
      await using link = await throttle(registry.host, {
        bitsPerSecond: 100e6,
        delayMs: 1,
      });
      const { program, args } = sociDenoCommand(
        ...["pull", "--address", containerd.address, ...root],
        `${link.host}/waited:1`,
      );
      const ran = await runOnTerminal({
        columns: 110,
        rows: 30,
        program,
        args,
      });
      assert.equal(ran.code, 0, ran.raw);
      assert.match(ran.raw, /█.* of 12\.\d MB/);
      assert.ok(ran.isRestored);
      // A line that is longer than the terminal is wide goes on in the next.
      assert.match(
        ran.lines.join(""),
        /^layer sha256:[0-9a-f]{64} +12\.6 MB {2}downloaded and unpacked\S+waited:1 is ready after \d+ ms$/,
      );
    },
  );
});

Deno.test("on a terminal of 110 × 30 progress is redrawn in place, and only what was made is left", async () => {
  await using registry = startRegistry();
  const layers = Array.from({ length: 6 }, (_, at) =>
    layerBlob(
      new TarBuilder().file("data", incompressible(2 * 2 ** 20, at)),
      { compression: "gzip" },
    ));
  await pushImage(registry.host, "drawn:1", makeImage({ layers }));
  await using link = await throttle(registry.host, {
    bitsPerSecond: 100e6,
    delayMs: 1,
  });
  const { program, args } = sociDenoCommand(
    ...["build-index", "--min-layer-size", "0", `${link.host}/drawn:1`],
  );
  const ran = await runOnTerminal({ columns: 110, rows: 30, program, args });
  assert.equal(ran.code, 0, ran.raw);
  assert.match(ran.raw, /█/, "progress was drawn");
  assert.ok(ran.isRestored);
  const text = ran.lines.join("\n");
  assert.doesNotMatch(text, /[█·]/, text);
  const made = ran.lines.filter((line) => / -> ztoc /.test(line));
  // A line of the result is longer than the terminal is wide: its rest is on the next.
  assert.equal(made.length, 6, text);
  assert.equal(new Set(made).size, 6);
});

testOnDebian(
  "doctor names each mistake in what a running containerd 2 is told, with what to write",
  async () => {
    const newer = await newerContainerd("2");
    assert.ok("binDir" in newer, JSON.stringify(newer));
    await using host = await LazyHost.start({ binDir: newer.binDir });
    const annotations = '    enable_remote_snapshot_annotations = "true"\n';
    const right = `version = 3
[proxy_plugins.soci]
  type = "snapshot"
  address = "${host.socket}"
  [proxy_plugins.soci.exports]
    root = "${host.root}"
${annotations}[plugins."io.containerd.cri.v1.images"]
  snapshotter = "soci"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/amd64"
  snapshotter = "soci"
  differ = "walking"
`;
    const of1x = `version = 2
[proxy_plugins.soci]
  type = "snapshot"
  address = "${host.socket}"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "soci"
  disable_snapshot_annotations = false
`;
    const from = right.indexOf("[proxy_plugins.soci]");
    const until = right.indexOf('[plugins."io.containerd.cri');
    const set: Readonly<Record<string, readonly [string, RegExp | null]>> = {
      "nothing": [right, null],
      "tables of 1.x": [
        of1x,
        /names the plugin ".*grpc\.v1\.cri" of containerd 1\.x/,
      ],
      "no proxy plugin": [
        right.slice(0, from) + right.slice(until),
        /has no \[proxy_plugins\.soci\]/,
      ],
      "another type": [
        right.replace('"snapshot"', '"content"'),
        /is not of type "snapshot"/,
      ],
      "another socket": [
        right.replace(host.socket, "/run/none.sock"),
        /names the socket "\/run\/none\.sock"/,
      ],
      "no root exported": [
        right.replace(`    root = "${host.root}"\n`, ""),
        /has no exports\.root: `crictl imagefsinfo` names a folder/,
      ],
      "no annotations": [
        right.replace(annotations, ""),
        /say which image a layer belongs to/,
      ],
      "no unpack_config": [
        right.slice(0, right.indexOf("[[plugins")),
        /has no unpack_config for the snapshotter "soci"/,
      ],
      "no snapshotter for Kubernetes": [
        right.replace('images"]\n  snapshotter = "soci"\n', 'images"]\n'),
        /names no snapshotter in \[plugins\."io\.containerd\.cri\.v1\.images"\]/,
      ],
    };
    const path = `${host.folder}/told.toml`;
    for (const [mistake, [text, finding]] of Object.entries(set)) {
      await Deno.writeTextFile(path, text);
      const { code, stdout } = await sociDeno(
        ...["doctor", "--json", "--root", host.root],
        ...["--address", host.containerd.address, "--containerd-config", path],
      );
      const found: {
        level: string;
        check: string;
        text: string;
        fix: string;
      }[] = JSON.parse(stdout);
      const failed = found.filter(({ check, level }) =>
        check === "containerd" && level === "fail"
      );
      if (finding === null) {
        assert.deepEqual(failed, [], mistake);
        continue;
      }
      assert.equal(code, 1, mistake);
      const named = failed.find((one) => finding.test(one.text));
      assert.ok(named, `${mistake}: ${JSON.stringify(failed)}`);
      assert.match(named.fix, /^(put|add|write) /, mistake);
      if (mistake === "tables of 1.x") continue; // each table is wrong
      // Without the plugin's table there are no annotations of its exports.
      const count = mistake === "no proxy plugin" ? 2 : 1;
      assert.equal(failed.length, count, mistake);
    }
  },
);
