import assert from "node:assert/strict";
import { Gate } from "../../../../lib/remote/network/fetch_gate.ts";
import { hostsOf } from "../../../../lib/remote/network/fetch_hosts.ts";

const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  "r.example": ["93.184.216.34"],
  "blobs.example": ["2606:2800:21f::1"],
  "office.example": ["10.1.2.3"],
  "depot.example": ["192.168.7.7"],
  "metadata.example": ["169.254.169.254"],
  "here.example": ["127.0.0.1"],
  // As the system tells of an IPv4 address inside an IPv6 one.
  "mapped-metadata.example": ["::ffff:169.254.169.254"],
  "mapped-office.example": ["2606:2800:21f::1", "::ffff:10.1.2.3"],
};

function lookup(name: string): Promise<readonly string[]> {
  const found = ADDRESSES[name];
  return found === undefined
    ? Promise.reject(new Error("no such name"))
    : Promise.resolve(found);
}

/** What is said of an address after a registry led there. */
async function led(from: string, to: string): Promise<string | null> {
  const gate = new Gate([new URL(from).host], lookup);
  await gate.learn(new URL(from), new Headers({ location: to }));
  return gate.refusal(new URL(to, from));
}

Deno.test("hosts that are named are asked, by both ways to speak HTTP and nothing else", () => {
  const gate = new Gate(["r.example", "[::1]:5000", "m.example:443"], lookup);
  for (
    const address of [
      "https://r.example/v2/",
      "http://r.example/v2/",
      "http://[::1]:5000/v2/",
      "https://m.example/v2/",
    ]
  ) assert.equal(gate.refusal(new URL(address)), null, address);
  for (
    const address of [
      "https://r.example:8443/",
      "https://a.r.example/",
      "https://r.example.evil.example/",
      "https://127.0.0.1/",
      "file:///etc/shadow",
      "data:text/plain,x",
      "ws://r.example/",
    ]
  ) assert.notEqual(gate.refusal(new URL(address)), null, address);
});

Deno.test("hosts to which a registry leads are asked from then on: blobs, uploads and token servers", async () => {
  const gate = new Gate(["r.example"], lookup);
  const blobs = new URL("https://blobs.example/a");
  assert.match(gate.refusal(blobs)!, /^blobs\.example is no host/);
  await gate.learn(
    new URL("https://r.example/v2/a"),
    new Headers({ location: "https://blobs.example/b?signature" }),
  );
  assert.equal(gate.refusal(blobs), null);
  await gate.learn(
    new URL("https://r.example/v2/a"),
    new Headers({
      "www-authenticate": 'Bearer realm="https://auth.example/t",service="r"',
    }),
  );
  assert.equal(gate.refusal(new URL("https://auth.example/t?scope=x")), null);
  assert.notEqual(gate.refusal(new URL("http://blobs.example/a")), null);
});

Deno.test("no registry leads to this machine, to a link-local address, from TLS to none, or from the public into a private network", async () => {
  const refused: readonly [string, string, RegExp][] = [
    ["https://r.example/", "https://127.0.0.1/x", /this machine itself/],
    ["https://r.example/", "https://here.example/x", /this machine itself/],
    ["https://r.example/", "https://169.254.169.254/x", /link-local/],
    ["https://r.example/", "https://metadata.example/x", /link-local/],
    ["https://r.example/", "http://blobs.example/x", /plain HTTP/],
    ["https://r.example/", "https://office.example/x", /private network/],
    ["https://r.example/", "https://10.0.0.1/x", /private network/],
    ["https://r.example/", "https://[fd00::1]/x", /private network/],
    ["https://r.example/", "https://[::ffff:10.0.0.1]/x", /private network/],
    ["https://r.example/", "https://mapped-office.example/x", /private net/],
    ["https://r.example/", "https://mapped-metadata.example/x", /link-local/],
    ["https://office.example/", "https://metadata.example/x", /link-local/],
  ];
  for (const [from, to, why] of refused) {
    assert.match((await led(from, to)) ?? "", why, `${from} to ${to}`);
  }
  const taken: readonly [string, string][] = [
    ["https://r.example/", "https://blobs.example/x"],
    ["https://r.example/", "/elsewhere"],
    ["https://office.example/", "https://depot.example/x"],
    ["https://office.example/", "https://blobs.example/x"],
    ["http://here.example/", "http://127.0.0.1:5000/x"],
    // What this machine cannot look up is looked up by a proxy.
    ["https://r.example/", "https://unknown.example/x"],
    ["https://unknown.example/", "https://office.example/x"],
  ];
  for (const [from, to] of taken) {
    assert.equal(await led(from, to), null, `${from} to ${to}`);
  }
});

Deno.test("a private host that is named is asked, whoever leads there", async () => {
  const gate = new Gate(["r.example", "office.example"], lookup);
  await gate.learn(
    new URL("https://r.example/"),
    new Headers({ location: "https://office.example/x" }),
  );
  assert.equal(gate.refusal(new URL("https://office.example/x")), null);
});

Deno.test("a command line's hosts are those of its images and mirrors", () => {
  assert.deepEqual(
    hostsOf({
      images: ["redis", "ghcr.io/a/b:1", "localhost:5000/x", "no image at all"],
      places: ["https://mirror.example:8443/path/v2", "cache:3000", "/"],
    }),
    [
      ...["registry-1.docker.io", "ghcr.io", "localhost:5000"],
      ...["mirror.example:8443", "cache:3000"],
    ],
  );
});
