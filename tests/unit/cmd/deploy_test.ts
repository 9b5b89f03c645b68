/** What monitoring is given names metrics that the daemon has, and labels that they have. */
import assert from "node:assert/strict";
import { sha256 } from "../../../lib/formats/oci/mod.ts";
import { ROOT } from "../../../tools/house/mod.ts";
import { writeNodeImage } from "../../../tools/release/node_image.ts";

const read = (path: string) =>
  Deno.readTextFileSync(new URL(path, ROOT).pathname);

/** Names in the source of the metrics: they are written there as they are. */
const KNOWN = new Set(read("cmd/metrics.ts").match(/\bsoci_(deno|fs)_\w+/g));

const namesIn = (text: string) =>
  new Set(text.match(/\bsoci_(deno|fs)_\w+/g) ?? []);

Deno.test("the dashboard is JSON and asks only for metrics that there are, and for most of them", () => {
  const text = read("deploy/grafana/soci-deno.json");
  const { panels, templating } = JSON.parse(text);
  const asked = namesIn(JSON.stringify([panels, templating]));
  assert.deepEqual([...asked].filter((name) => !KNOWN.has(name)), []);
  assert.ok(asked.size >= 15, `${asked.size} of ${KNOWN.size}`);
  const ids = panels.map(({ id }: { id: number }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

Deno.test("the alert rules ask only for metrics that there are, and each says what to do", () => {
  const text = read("deploy/prometheus/alerts.yaml");
  const asked = namesIn(text);
  assert.deepEqual([...asked].filter((name) => !KNOWN.has(name)), []);
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  const rules = count(/^ {6}- alert: \w+$/gm);
  assert.ok(rules >= 5);
  for (const key of ["expr", "labels"]) {
    assert.equal(count(new RegExp(`^ {8}${key}: `, "gm")), rules, key);
  }
  for (const key of ["summary", "description"]) {
    assert.equal(count(new RegExp(`^ {10}${key}: `, "gm")), rules, key);
  }
});

Deno.test("the page on metrics names every metric, and no other", () => {
  const page = namesIn(read("docs/metrics.md"));
  const known = [...KNOWN].toSorted();
  assert.deepEqual([...page].toSorted(), known);
});

/** The installer for nodes, in a tree that stands for a node. */
class Node implements Disposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "soci-deno-install-" });
  readonly host = `${this.#folder}/host`;
  readonly binary = `${this.host}/usr/local/bin/soci-deno`;

  constructor() {
    Deno.mkdirSync(this.host);
    Deno.mkdirSync(`${this.#folder}/payload`);
    for (const name of PAYLOAD) this.bring(name, "1");
  }

  bring(name: string, content: string): void {
    Deno.writeTextFileSync(`${this.#folder}/payload/${name}`, content);
  }

  /** @param onHost what runs the node's commands. @param before said to the shell first. */
  async install(
    { onHost = "echo", before = ":" } = {},
  ): Promise<{ readonly code: number; readonly stdout: string }> {
    const script = new URL("deploy/kubernetes/install.sh", ROOT).pathname;
    const { code, stdout } = await new Deno.Command("sh", {
      args: ["-c", `${before}; exec sh '${script}'`],
      env: {
        HOST: this.host,
        PAYLOAD: `${this.#folder}/payload`,
        ON_HOST: onHost,
      },
      stderr: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

const PAYLOAD = [
  ...["soci-deno", "soci-snapshotter.service", "soci-snapshotter.socket"],
];

Deno.test("the image of the installer is made from a checkout, the same each time, and what is in it installs", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-node-image-" });
  const binary = `${folder}/soci-deno`;
  await Deno.writeTextFile(binary, "the binary");
  const made = [];
  for (const output of [`${folder}/one.tar`, `${folder}/two.tar`]) {
    await writeNodeImage({ binary, busybox: "/bin/busybox", output });
    made.push(sha256(await Deno.readFile(output)));
  }
  assert.equal(made[0], made[1]);
  const sh = async (script: string) => {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-ec", script],
      cwd: folder,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  await sh("mkdir layout root && tar -xf one.tar -C layout");
  const read = (path: string) =>
    JSON.parse(Deno.readTextFileSync(`${folder}/layout/${path}`));
  const blob = (digest: string) => `blobs/sha256/${digest.slice(7)}`;
  const manifest = read(blob(read("index.json").manifests[0].digest));
  const { config, rootfs } = read(blob(manifest.config.digest));
  assert.deepEqual(config.Cmd, ["/bin/sh", "/install.sh"]);
  const layer = `layout/${blob(manifest.layers[0].digest)}`;
  assert.match(
    await sh(`gzip -dc ${layer} | sha256sum`),
    new RegExp(`^${rootfs.diff_ids[0].slice(7)}`),
  );
  await sh(`tar -xzf ${layer} -C root`);
  const told = await sh(
    "env -i PATH=/bin:/usr/sbin ON_HOST=echo chroot root /bin/sh /install.sh",
  );
  assert.match(told, /^systemctl restart .*\n.*is installed and runs/m);
  assert.equal(
    await Deno.readTextFile(`${folder}/root/host/usr/local/bin/soci-deno`),
    "the binary",
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("the installer for hosts puts all in place, is run again without a restart, and restarts for another release", async () => {
  using node = new Node();
  const first = await node.install();
  assert.equal(first.code, 0);
  assert.match(first.stdout, /^systemctl restart .*\n.*is installed/m);
  assert.equal(Deno.statSync(node.binary).mode! & 0o777, 0o755);
  for (const name of PAYLOAD.slice(1)) {
    assert.ok(Deno.statSync(`${node.host}/etc/systemd/system/${name}`).isFile);
  }
  const again = await node.install();
  assert.equal(again.code, 0);
  assert.doesNotMatch(again.stdout, /restart/);
  node.bring("soci-deno", "2");
  assert.match((await node.install()).stdout, /systemctl restart/);
  assert.equal(Deno.readTextFileSync(node.binary), "2");
});

Deno.test("the installer for hosts leaves the binary as it is where the disk has no room for another one", async () => {
  using node = new Node();
  await node.install();
  node.bring("soci-deno", "2".repeat(64 * 1024));
  // A file may have 8 KiB: as on a disk that is full behind these.
  const full = await node.install({
    before: "trap '' XFSZ; ulimit -f 16",
  });
  assert.notEqual(full.code, 0);
  assert.doesNotMatch(full.stdout, /systemctl/);
  assert.equal(Deno.readTextFileSync(node.binary), "1");
  assert.match((await node.install()).stdout, /systemctl restart/);
});

Deno.test("the installer for hosts goes on where a run was ended before the daemon was restarted", async () => {
  using node = new Node();
  const ended = await node.install({ onHost: "false" });
  assert.notEqual(ended.code, 0);
  assert.match(
    (await node.install()).stdout,
    /daemon-reload\n.*enable(.*\n)+.*systemctl restart/,
  );
  assert.doesNotMatch((await node.install()).stdout, /restart/);
});
