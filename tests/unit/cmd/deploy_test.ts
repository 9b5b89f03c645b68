/** What monitoring is given names metrics that the daemon has, and labels that they have. */
import assert from "node:assert/strict";
import { ROOT } from "../../../tools/house/mod.ts";

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

Deno.test("the installer for hosts puts all in place, is run again without a restart, and restarts for another release", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-install-" });
  try {
    const [host, payload] = [`${folder}/host`, `${folder}/payload`];
    Deno.mkdirSync(host);
    Deno.mkdirSync(payload);
    const names = [
      ...["soci-deno", "soci-snapshotter.service", "soci-snapshotter.socket"],
    ];
    for (const name of names) Deno.writeTextFileSync(`${payload}/${name}`, "1");
    const install = async () => {
      const { code, stdout } = await new Deno.Command("sh", {
        args: [new URL("deploy/kubernetes/install.sh", ROOT).pathname],
        env: { HOST: host, PAYLOAD: payload, ON_HOST: "echo" },
      }).output();
      assert.equal(code, 0);
      return new TextDecoder().decode(stdout);
    };
    assert.match(await install(), /^systemctl restart .*\n.*is installed/m);
    const binary = `${host}/usr/local/bin/soci-deno`;
    assert.equal(Deno.statSync(binary).mode! & 0o777, 0o755);
    for (const name of names.slice(1)) {
      assert.ok(Deno.statSync(`${host}/etc/systemd/system/${name}`).isFile);
    }
    assert.doesNotMatch(await install(), /restart/);
    Deno.writeTextFileSync(`${payload}/soci-deno`, "2");
    assert.match(await install(), /systemctl restart/);
    assert.equal(Deno.readTextFileSync(binary), "2");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
