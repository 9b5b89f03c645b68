import assert from "node:assert/strict";
import {
  hostsDir,
  HostsDirError,
} from "../../../../lib/remote/registry/mod.ts";
import { parseHosts } from "../../../../lib/remote/registry/hosts_dir.ts";

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
        capabilities: ["pull", "resolve", "push"],
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
      ['[host."https://a"]\nspeed = 3', /no key speed/],
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
