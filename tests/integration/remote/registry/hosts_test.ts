import assert from "node:assert/strict";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { makeCertificateAuthority } from "../../../support/host/mod.ts";
import { nameLoopback } from "../../../support/peer/mod.ts";
import { noise, startRegistry } from "../../../support/registry/mod.ts";
import { fails, QUICK, readPart, scene } from "./helpers.ts";

Deno.test("a registry with an own certificate is reached by naming it", async () => {
  await using authority = await makeCertificateAuthority();
  const files = await authority.issue(["127.0.0.1"]);
  const tls = {
    cert: await Deno.readTextFile(files.cert),
    key: await Deno.readTextFile(files.key),
  };
  await using registry = startRegistry({ tls, redirect: { lifeMs: 60_000 } });
  const blob = registry.addBlob("a/b", noise(1000));
  const reference = parseReference(`${registry.host}/a/b`);
  const into = new Uint8Array(10);
  {
    using client = new RegistryClient({
      ...QUICK,
      plainHttp: false,
      caCerts: [authority.certPem],
    });
    await client.range(reference, blob.digest, 0, 10, into);
    assert.deepEqual(into, noise(1000).subarray(0, 10));
  }
  using stranger = new RegistryClient({ ...QUICK, plainHttp: () => false });
  const error = await fails("unavailable", stranger.resolve(reference));
  assert.match(error.message, /certificate/);
});

Deno.test("HTTPS to a plain HTTP registry says so", async () => {
  await using registry = startRegistry();
  using client = new RegistryClient({ ...QUICK, plainHttp: false });
  const reference = parseReference(`${registry.host}/a/b`);
  const error = await fails("unavailable", client.resolve(reference));
  assert.match(error.message, /plain HTTP/);
});

Deno.test("a mirror is asked first, the registry where the mirror fails", async () => {
  await using mirror = startRegistry();
  await using registry = startRegistry();
  using client = new RegistryClient({
    ...QUICK,
    mirrors: (host) => host === registry.host ? [{ url: mirror.url }] : [],
  });
  const bytes = noise(1000);
  const both = registry.addBlob("a/b", bytes);
  mirror.addBlob("a/b", bytes);
  const one = registry.addBlob("a/b", noise(1000, 2));
  const reference = parseReference(`${registry.host}/a/b`);
  const into = new Uint8Array(10);
  const read = (digest: typeof one.digest) =>
    client.range(reference, digest, 0, 10, into);

  await read(both.digest);
  assert.equal(registry.requests.length, 0);
  assert.equal(
    mirror.requests[0]!.query,
    `?ns=${encodeURIComponent(registry.host)}`,
  );
  await read(one.digest);
  assert.equal(registry.requests.length, 1);
  mirror.faults.add({ kind: "status", status: 500 });
  await read(both.digest);
  await read(both.digest);
  assert.equal(registry.requests.length, 3);
  // One lookup each before, then two tries, then it rests.
  assert.equal(mirror.requests.length, 4);
});

scene("a registry may come back after it died", {}, async (s) => {
  await readPart(s, 0, 10);
  const port = Number(s.registry.host.split(":")[1]);
  await s.registry.close();
  await fails("unavailable", readPart(s, 0, 10));
  await using again = startRegistry({ port });
  again.addBlob("team/app", s.bytes);
  await readPart(s, 0, 10);
});

/** A server that answers everything the same way. */
function server(answer: (request: Request) => Response) {
  return Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    answer,
  );
}

async function resolveAt(
  answer: (request: Request) => Response,
): Promise<unknown> {
  const running = server(answer);
  try {
    using client = new RegistryClient(QUICK);
    const host = `127.0.0.1:${running.addr.port}`;
    return await client.manifest(parseReference(`${host}/a/b`));
  } finally {
    await running.shutdown();
  }
}

Deno.test("redirects in a circle, to nowhere and to other schemes are refused", async () => {
  for (
    const location of [
      "/v2/a/b/manifests/latest",
      "file:///etc/passwd",
      "",
      "http://[",
    ]
  ) {
    const answer = () =>
      new Response(null, {
        status: 302,
        headers: location === "" ? {} : { location },
      });
    await fails("protocol", resolveAt(answer));
  }
});

Deno.test("a manifest without end is refused", async () => {
  const answer = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
      }),
    );
  await fails("too-large", resolveAt(answer));
});

Deno.test("a challenge with a broken realm or token is refused", async () => {
  const challenge = (header: string) => () =>
    new Response(null, {
      status: 401,
      headers: { "www-authenticate": header },
    });
  await fails("unauthorized", resolveAt(challenge("Bearer")));
  await fails("unauthorized", resolveAt(challenge('Bearer realm="file:///x"')));
  await fails("unauthorized", resolveAt(challenge("Negotiate")));
  for (const token of ["a\nb", "", 3, "x".repeat(100_000)]) {
    const answer = (request: Request) => {
      const { pathname, origin } = new URL(request.url);
      return pathname === "/token"
        ? Response.json({ token })
        : challenge(`Bearer realm="${origin}/token"`)();
    };
    await fails("protocol", resolveAt(answer));
  }
});

Deno.test("a registry on this machine may lead to this machine, by whatever name it is called", async () => {
  const name = "here.soci-deno.test";
  using _name = nameLoopback(name);
  await using registry = startRegistry({ redirect: { lifeMs: 60_000 } });
  using client = new RegistryClient({ ...QUICK, plainHttp: true });
  const blob = registry.addBlob("a/b", noise(1000));
  const host = `${name}:${registry.host.split(":")[1]}`;
  const into = new Uint8Array(10);
  await client.range({ host, repository: "a/b" }, blob.digest, 0, 10, into);
});
