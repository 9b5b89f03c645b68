import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  boundCredentials,
  type CredentialStore,
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { fails, readPart, scene } from "./helpers.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

const basic = { kind: "basic", username: "anna", password: "secret" } as const;
const bearer = {
  kind: "bearer",
  username: "anna",
  password: "secret",
  refreshToken: "refresh",
} as const;
const anna = staticCredentials("anna", "secret");

scene("Basic: the first refusal teaches, later requests are sure", {
  registry: { auth: basic },
  client: { credentials: anna },
}, async (s) => {
  await readPart(s, 0, 10);
  await readPart(s, 10, 20);
  assert.deepEqual(s.registry.requests.map(({ status }) => status), [
    401,
    206,
    206,
  ]);
});

scene("Bearer: one token serves many requests at once", {
  registry: { auth: bearer },
  client: { credentials: anna },
}, async (s) => {
  await readPart(s, 0, 1);
  await Promise.all(
    [1, 2, 3, 4, 5].map((at) => readPart(s, at * 10, at * 10 + 10)),
  );
  assert.equal(s.registry.gate.issued, 1);
});

scene("a token that ends is renewed before it is refused", {
  registry: { auth: { ...bearer, tokenLifeSeconds: 0.2 } },
  client: { credentials: anna },
}, async (s) => {
  await readPart(s, 0, 1);
  await new Promise((go) => setTimeout(go, 210));
  s.registry.reset();
  await readPart(s, 0, 1);
  assert.deepEqual(s.registry.requests.map(({ path }) => path.slice(0, 4)), [
    "/tok",
    "/v2/",
  ]);
});

scene("a token refused in mid-run is renewed once", {
  registry: { auth: bearer },
  client: { credentials: anna },
}, async (s) => {
  await readPart(s, 0, 1);
  s.registry.gate.revoke();
  await readPart(s, 1, 2);
  assert.equal(s.registry.gate.issued, 2);
  s.registry.faults.add({ kind: "status", status: 401 });
  s.registry.requests.length = 0;
  await fails("unauthorized", readPart(s, 1, 2));
  assert.equal(s.registry.requests.length, 3);
});

scene("a 403 for an ended login is tried with a new one", {
  registry: { auth: bearer },
  client: { credentials: anna },
}, async (s) => {
  await readPart(s, 0, 1);
  s.registry.faults.add({ kind: "status", status: 403, times: 1 });
  await readPart(s, 1, 2);
  s.registry.faults.add({ kind: "status", status: 403 });
  const { client, reference, blob } = s;
  const whole = client.blobBytes(reference, blob, { maxBytes: 1e6 });
  await fails("forbidden", whole);
});

scene("an identity token is exchanged by POST", {
  registry: { auth: bearer },
  client: { credentials: staticCredentials("", "refresh") },
}, async (s) => {
  await readPart(s, 0, 10);
  assert.ok(s.registry.requests.some(({ method }) => method === "POST"));
});

scene("nobody may read where tokens are free", {
  registry: { auth: { ...bearer, anonymousPull: true } },
}, async (s) => {
  await readPart(s, 0, 10);
  const bytes = new Uint8Array([1, 2]);
  const descriptor = { digest: sha256(bytes), size: 2 };
  await fails(
    "unauthorized",
    s.client.pushBlob(s.reference, descriptor, bytes),
  );
});

for (const auth of [basic, bearer]) {
  scene(`${auth.kind}: no login and a wrong one are unauthorized`, {
    registry: { auth },
  }, async (s) => {
    const error = await fails("unauthorized", readPart(s, 0, 10));
    assert.match(error.message, /log in/);
  });
  scene(`${auth.kind}: a wrong password is told without it`, {
    registry: { auth },
    client: { credentials: staticCredentials("anna", "wrong-password") },
  }, async (s) => {
    const error = await fails("unauthorized", readPart(s, 0, 10));
    assert.ok(!error.message.includes("wrong-password"));
  });
}

let rotated = "old";
const rotating: CredentialStore = {
  get: (host, repository) =>
    staticCredentials("anna", rotated).get(host, repository),
};

scene("rotated credentials work without a restart", {
  registry: { auth: basic },
  client: { credentials: rotating },
}, async (s) => {
  await fails("unauthorized", readPart(s, 0, 10));
  rotated = "secret";
  await readPart(s, 0, 10);
});

for (const auth of [basic, bearer]) {
  scene(`${auth.kind}: credentials stay away from redirect targets`, {
    registry: { auth, redirect: { lifeMs: 60_000 } },
    client: { credentials: anna },
  }, async (s) => {
    await readPart(s, 0, 10);
    await readPart(s, 10, 20);
    const storage = s.registry.requests.filter(({ server }) =>
      server === "storage"
    );
    assert.equal(storage.length, 2);
    assert.ok(storage.every(({ authorized }) => !authorized));
  });
}

/** A server that asks everybody for a login, in words of its own, and notes what it is sent. */
function asking(challenge: (origin: string) => string) {
  const sent: (string | null)[] = [];
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
  }, (request) => {
    sent.push(
      request.headers.get("authorization"),
      ...new URL(request.url).searchParams.values(),
    );
    return new Response("", {
      status: 401,
      headers: { "www-authenticate": challenge(new URL(request.url).origin) },
    });
  });
  const host = `127.0.0.1:${server.addr.port}`;
  return {
    host,
    sent,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const manifestOf = (client: RegistryClient, host: string) =>
  client.manifest(parseReference(`${host}/a/b:1`));

Deno.test("a login for one registry is never sent to another that asks for one", async () => {
  await using own = asking(() => 'Basic realm="own"');
  await using other = asking(() => 'Basic realm="other"');
  using client = new RegistryClient({
    credentials: boundCredentials([
      { host: own.host, username: "anna", secret: () => "secret" },
    ]),
  });
  await fails("unauthorized", manifestOf(client, own.host));
  await fails("unauthorized", manifestOf(client, other.host));
  assert.ok(own.sent.includes(`Basic ${btoa("anna:secret")}`));
  assert.ok(other.sent.length > 0);
  assert.ok(other.sent.every((header) => header === null));
});

Deno.test("nor to a token server on another host, unless that has a login of its own", async () => {
  await using tokens = asking(() => "Basic");
  await using own = asking(() =>
    `Bearer realm="http://${tokens.host}/token",service="s"`
  );
  const logins = [
    { host: own.host, username: "anna", secret: () => "secret" },
    { host: own.host, username: "", secret: () => "refresh-secret" },
  ];
  for (const login of logins) {
    using client = new RegistryClient({
      credentials: boundCredentials([login]),
    });
    const error = await fails("unauthorized", manifestOf(client, own.host));
    assert.match(error.message, /token server is another host, 127\.0\.0\.1:/);
    assert.deepEqual(tokens.sent, []);
    assert.ok(own.sent.every((header) => header === null));
  }
  using client = new RegistryClient({
    credentials: boundCredentials([
      logins[0]!,
      { host: tokens.host, username: "bob", secret: () => "other" },
    ]),
  });
  await fails("unauthorized", manifestOf(client, own.host));
  assert.ok(tokens.sent.includes(`Basic ${btoa("bob:other")}`));
  assert.ok(!tokens.sent.includes(`Basic ${btoa("anna:secret")}`));
});

for (
  const [host, realm, gets] of [
    ["docker.io", "https://auth.docker.io/token", true],
    ["registry.gitlab.com", "https://gitlab.com/jwt/auth", true],
    ["ghcr.io", "https://ghcr.io/token", true],
    ["one.co.uk", "https://two.co.uk/token", false],
    ["docker.io", "https://auth.docker.io.evil.example/token", false],
    ["docker.io", "https://evildocker.io/token", false],
    ["r.example", "https://r.example:8443/token", false],
  ] as const
) {
  Deno.test(`a login for ${host} goes to ${realm}: ${gets}`, async () => {
    const sent: Request[] = [];
    using client = new RegistryClient({
      retry: { retries: 0 },
      credentials: boundCredentials([
        { host, username: "anna", secret: () => "secret" },
      ]),
      fetch: (input, init) => {
        const request = new Request(input as URL, init);
        sent.push(request);
        return Promise.resolve(
          request.url.startsWith(realm)
            ? Response.json({ token: "t" })
            : new Response("", {
              status: 401,
              headers: { "www-authenticate": `Bearer realm="${realm}"` },
            }),
        );
      },
    });
    await fails("unauthorized", manifestOf(client, host));
    const asked = sent.filter(({ url }) => url.startsWith(realm));
    assert.equal(
      asked.some(({ headers }) => headers.has("authorization")),
      gets,
    );
    if (!gets) assert.deepEqual(asked, []);
  });
}
