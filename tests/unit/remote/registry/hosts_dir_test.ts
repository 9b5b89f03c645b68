import assert from "node:assert/strict";
import {
  hostsDir,
  HostsDirError,
} from "../../../../lib/remote/registry/mod.ts";
import { parseHosts as parseWith } from "../../../../lib/remote/registry/hosts_toml.ts";
import { readTextIfThere } from "../../../../lib/host/files/mod.ts";

const parseHosts = (toml: string, folder: string) =>
  parseWith(toml, folder, readTextIfThere);

async function inFolder(body: (folder: string) => Promise<void> | void) {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("hosts.toml gives the server, and hosts in the order they stand", () => {
  const hosts = parseHosts(
    `
server = "https://registry.example"
[host."https://first.example/path"]
  capabilities = ["pull"]
  override_path = true
  skip_verify = true
  [host."https://first.example/path".header]
    x-one = "1"
    x-many = ["a", "b"]
[host."http://second.example"]
`,
    "/none",
  );
  assert.deepEqual(hosts, {
    server: { url: "https://registry.example" },
    mirrors: [
      {
        url: "https://first.example/path",
        capabilities: ["pull"],
        tls: { skipVerify: true },
        headers: { "x-one": "1", "x-many": "a, b" },
        overridePath: true,
      },
      {
        url: "http://second.example",
        capabilities: ["pull", "resolve", "push", "referrers"],
      },
    ],
  });
});

Deno.test("an address without a scheme is HTTPS, on the loopback HTTP", () => {
  const url = (text: string) =>
    parseHosts(`server = "${text}"`, "/none").server?.url;
  assert.equal(url("registry.example:5000"), "https://registry.example:5000");
  assert.equal(url("127.0.0.1:5000"), "http://127.0.0.1:5000");
});

Deno.test("a hosts.toml that cannot be used is told with file and key", () => {
  for (
    const [toml, words] of [
      ["server = 5", /server is no address/],
      ["nonsense", /hosts.toml:1/],
      ['[host."https://a"]\ncapabilities = ["fly"]', /capabilities are pull/],
      ['[host."https://a"]\nskip_verify = "yes"', /skip_verify/],
      ['[host."https://a"]\nca = "missing.pem"', /missing.pem is not there/],
      ['[host."https://a"]\ndial_timeout = "soon"', /is no duration/],
      ['host = "a"', /host is no table/],
    ] as const
  ) {
    assert.throws(() => parseHosts(toml, "/none"), (error) => {
      assert.ok(error instanceof HostsDirError, toml);
      assert.match(error.message, words);
      assert.match(error.message, /^\/none\/hosts.toml/);
      return true;
    });
  }
});

Deno.test("a host's own folder is taken before _default, and none is no fault", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/a.example:5000`);
    await Deno.mkdir(`${folder}/_default`);
    await Deno.writeTextFile(
      `${folder}/a.example:5000/hosts.toml`,
      'server = "https://own"',
    );
    const hosts = hostsDir(folder);
    assert.equal(hosts("a.example:5000")?.server?.url, "https://own");
    assert.equal(hosts("b.example"), undefined);
    await Deno.writeTextFile(
      `${folder}/_default/hosts.toml`,
      'server = "https://any"',
    );
    assert.equal(hosts("c.example")?.server?.url, "https://any");
    assert.equal(hostsDir("/does/not/exist")("a.example"), undefined);
  }));

Deno.test("certificates alone are used as Docker does", () =>
  inFolder(async (folder) => {
    const place = `${folder}/a.example`;
    await Deno.mkdir(place);
    await Deno.writeTextFile(`${place}/ca.crt`, "CA");
    await Deno.writeTextFile(`${place}/client.cert`, "CERT");
    await Deno.writeTextFile(`${place}/client.key`, "KEY");
    assert.deepEqual(hostsDir(folder)("a.example"), {
      mirrors: [],
      server: {
        tls: { caCerts: ["CA"], clientCert: { cert: "CERT", key: "KEY" } },
      },
    });
  }));

Deno.test("relative certificate paths start at the hosts.toml", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/ca.pem`, "CA");
    await Deno.writeTextFile(`${folder}/c.pem`, "CERT");
    await Deno.writeTextFile(`${folder}/k.pem`, "KEY");
    const { mirrors } = parseHosts(
      `[host."https://a"]\nca = ["ca.pem"]\nclient = [["c.pem", "k.pem"]]`,
      folder,
    );
    assert.deepEqual(mirrors[0]?.tls, {
      caCerts: ["CA"],
      clientCert: { cert: "CERT", key: "KEY" },
    });
  }));

Deno.test("keys that are not known change nothing; dial_timeout is Go's duration", () => {
  const [mirror] = parseHosts(
    `unheard = 1
     [host."https://a"]
     speed = 3
     capabilities = ["pull", "referrers"]
     dial_timeout = "1m0.5s"`,
    "/none",
  ).mirrors;
  assert.deepEqual(mirror, {
    url: "https://a",
    capabilities: ["pull", "referrers"],
    dialMs: 60_500,
  });
});

Deno.test("of several folders the first that has a place for the host decides", () =>
  inFolder(async (folder) => {
    const put = async (place: string, server: string) => {
      await Deno.mkdir(`${folder}/${place}`, { recursive: true });
      await Deno.writeTextFile(
        `${folder}/${place}/hosts.toml`,
        `server = "https://${server}"`,
      );
    };
    await put("one/a.example_5000_", "one-a");
    await put("two/a.example:5000", "two-a");
    await put("two/_default", "two-any");
    await put("three/b.example", "three-b");
    const hosts = hostsDir(`${folder}/one:${folder}/two:${folder}/three`);
    const url = (host: string) => hosts(host)?.server?.url;
    assert.equal(url("a.example:5000"), "https://one-a");
    assert.equal(url("b.example"), "https://two-any");
    const joinedByCommas = hostsDir(`${folder}/one,${folder}/three`);
    assert.equal(joinedByCommas("b.example")?.server?.url, "https://three-b");
    await Deno.mkdir(`${folder}/one/b.example`);
    assert.equal(
      hostsDir(`${folder}/one:${folder}/two`)("b.example"),
      undefined,
    );
  }));

Deno.test("changed files are seen without a restart; a broken change keeps what held before", () =>
  inFolder(async (folder) => {
    const now = performance.now;
    let later = 0;
    performance.now = () => now.call(performance) + later;
    try {
      const hosts = hostsDir(folder);
      const url = () => (later += 2_000, hosts("a.example")?.server?.url);
      assert.equal(url(), undefined);
      await Deno.mkdir(`${folder}/a.example`);
      const file = `${folder}/a.example/hosts.toml`;
      await Deno.writeTextFile(file, 'server = "https://first"');
      assert.equal(url(), "https://first");
      await Deno.writeTextFile(file, 'server = "https://second"');
      assert.equal(url(), "https://second");
      await Deno.writeTextFile(file, "server = ");
      assert.equal(url(), "https://second");
      await Deno.remove(file);
      assert.equal(url(), undefined);
    } finally {
      performance.now = now;
    }
  }));
