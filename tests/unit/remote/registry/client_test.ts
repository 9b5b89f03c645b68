import assert from "node:assert/strict";
import { MEDIA, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  parseReference,
  RegistryClient,
  type RegistryClientOptions,
  RegistryError,
} from "../../../../lib/remote/registry/mod.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

interface Seen {
  readonly url: string;
  readonly authorization: string | null;
}

/** A client whose network is a function; it keeps what was sent. */
function clientOf(
  answer: (url: URL, seen: Seen) => Response,
  options: RegistryClientOptions = {},
): { client: RegistryClient; sent: Seen[] } {
  const sent: Seen[] = [];
  const client = new RegistryClient({
    retry: { retries: 2, minWaitMs: 1, maxWaitMs: 5 },
    ...options,
    fetch: (input, init) => {
      const url = String(input);
      const authorization = new Headers(init?.headers).get("authorization");
      const seen = { url, authorization };
      sent.push(seen);
      return Promise.resolve(answer(new URL(url), seen));
    },
  });
  return { client, sent };
}

const manifest = () =>
  new Response("{}", { headers: { "content-type": MEDIA.ociManifest } });
const digest = sha256(new TextEncoder().encode("{}"));
const anna = { credentials: staticCredentials("anna", "secret") };

async function kindOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.ok(!/secret|signature/.test(error.message), error.message);
    return error.kind;
  }
}

for (
  const [name, url] of [
    ["redis", "https://registry-1.docker.io/v2/library/redis/"],
    ["ghcr.io/a/b", "https://ghcr.io/v2/a/b/"],
    ["localhost:5000/a", "http://localhost:5000/v2/a/"],
    ["127.0.0.1:5000/a", "http://127.0.0.1:5000/v2/a/"],
    ["[::1]:5000/a", "http://[::1]:5000/v2/a/"],
    ["localhost.example/a", "https://localhost.example/v2/a/"],
    ["127.0.0.1.example/a", "https://127.0.0.1.example/v2/a/"],
  ] as const
) {
  Deno.test(`requests for ${name} go to ${url}`, async () => {
    const { client, sent } = clientOf(manifest);
    await client.manifest(parseReference(name));
    assert.equal(sent[0]!.url, `${url}manifests/latest`);
  });
}

Deno.test("plainHttp decides where it says something", async () => {
  const { client, sent } = clientOf(manifest, {
    plainHttp: (host) => host === "r.example" ? true : undefined,
  });
  await client.manifest(parseReference("r.example/a"));
  await client.manifest(parseReference("s.example/a"));
  assert.deepEqual(sent.map(({ url }) => url.slice(0, 6)), [
    "http:/",
    "https:",
  ]);
});

Deno.test("credentials do not follow a redirect to another host or port", async () => {
  const { client, sent } = clientOf((url, { authorization }) => {
    if (url.host !== "r.example") return manifest();
    if (authorization === null) {
      return new Response(null, {
        status: 401,
        headers: { "www-authenticate": "Basic" },
      });
    }
    return new Response(null, {
      status: 307,
      headers: { location: "https://r.example:8443/x?signature=1" },
    });
  }, anna);
  await client.manifest(parseReference("r.example/a"));
  assert.deepEqual(sent.map(({ authorization }) => authorization !== null), [
    false,
    true,
    false,
  ]);
});

Deno.test("a redirect from HTTPS to plain HTTP is refused", async () => {
  const { client } = clientOf(() =>
    new Response(null, {
      status: 302,
      headers: { location: "http://r.example/x?signature=1" },
    })
  );
  const promise = client.manifest(parseReference("r.example/a"));
  assert.equal(await kindOf(promise), "protocol");
});

Deno.test("a password is not sent to a token server in clear text", async () => {
  const { client, sent } = clientOf(() =>
    new Response(null, {
      status: 401,
      headers: { "www-authenticate": 'Bearer realm="http://evil.example/t"' },
    }), anna);
  const promise = client.manifest(parseReference("r.example/a"));
  assert.equal(await kindOf(promise), "unauthorized");
  assert.equal(sent.length, 1);
});

Deno.test("a token server's short trouble passes", async () => {
  let asked = 0;
  const { client } = clientOf((url, { authorization }) => {
    if (url.pathname === "/token") {
      return asked++ === 0
        ? new Response(null, { status: 503 })
        : Response.json({ access_token: "t" });
    }
    return authorization === "Bearer t" ? manifest() : new Response(null, {
      status: 401,
      headers: {
        "www-authenticate":
          'Bearer realm="https://auth.example/token",service="s",scope="repository:a:pull"',
      },
    });
  });
  await client.manifest(parseReference("r.example/a"));
  assert.equal(asked, 2);
});

/** A client of a registry that leads uploads somewhere, and that upload. */
function uploadLedTo(location: string | null, more: HeadersInit = {}) {
  const { client, sent } = clientOf((url) => {
    if (!url.pathname.endsWith("/uploads/")) {
      return new Response(null, {
        status: url.search.includes("digest=") ? 201 : 404,
      });
    }
    const headers = new Headers(more);
    if (location !== null) headers.set("location", location);
    return new Response(null, { status: 202, headers });
  }, anna);
  const push = client.pushBlob(
    parseReference("r.example/a"),
    { digest, size: 2 },
    new TextEncoder().encode("{}"),
  );
  return { push, sent };
}

for (
  const location of [
    "http://up.example/up",
    "http://r.example:8080/up",
    "https://169.254.169.254/up",
    "https://[fe80::1]/up",
    "https://127.0.0.1/up",
    "https://localhost/up",
    "https://2130706433/up",
    "https://[::ffff:169.254.169.254]/up",
    "https://0.0.0.0/up",
    "ftp://r.example/up",
    "https://",
    "",
  ]
) {
  Deno.test(`an upload is not led to "${location}"`, async () => {
    const { push, sent } = uploadLedTo(location);
    assert.equal(await kindOf(push), "protocol");
    assert.equal(sent.length, 2);
  });
}

for (
  const [location, address] of [
    ["https://r.example/up/1", "https://r.example/up/1"],
    ["https://u:p@up.example/1?a=%2B#x", "https://up.example/1?a=%2B"],
    ["//up.example/1", "https://up.example/1"],
    ["/v2/a/blobs/uploads/1?s=1", "https://r.example/v2/a/blobs/uploads/1?s=1"],
    ["1?s=1", "https://r.example/v2/a/blobs/uploads/1?s=1"],
    ["?s=1", "https://r.example/v2/a/blobs/uploads/?s=1"],
    ["http://r.example/up/1", "https://r.example/up/1"],
    ["http://r.example:80/up/1", "https://r.example/up/1"],
  ] as const
) {
  Deno.test(`an upload goes on at "${location}"`, async () => {
    const { push, sent } = uploadLedTo(location);
    assert.equal(await kindOf(push), "none");
    const { url, authorization } = sent.at(-1)!;
    assert.ok(url.startsWith(address), url);
    assert.match(url.slice(address.length), /^[?&]digest=sha256:/);
    assert.equal(authorization, null);
  });
}

Deno.test("an upload without location goes on at its number", async () => {
  const { push, sent } = uploadLedTo(null, { "docker-upload-uuid": "a-1" });
  assert.equal(await kindOf(push), "none");
  assert.match(sent.at(-1)!.url, /\/v2\/a\/blobs\/uploads\/a-1\?digest=/);
  const odd = uploadLedTo(null, { "docker-upload-uuid": "../../b" });
  assert.equal(await kindOf(odd.push), "protocol");
});

for (
  const location of [
    "https://169.254.169.254/latest/meta-data",
    "https://127.0.0.1:10250/pods",
    "https://localhost/x",
    "https://[::1]/x",
  ]
) {
  Deno.test(`a redirect to ${location} is refused`, async () => {
    const { client, sent } = clientOf(() =>
      new Response(null, { status: 307, headers: { location } })
    );
    const promise = client.manifest(parseReference("r.example/a"));
    assert.equal(await kindOf(promise), "protocol");
    assert.equal(sent.length, 1);
  });
}

for (
  const [realm, address] of [
    ['realm="/token"', "https://r.example/token"],
    ["realm=/token", "https://r.example/token"],
    ['realm="//auth.example/token"', "https://auth.example/token"],
    ["realm=https://auth.example/token", "https://auth.example/token"],
    ['realm="http://r.example/token"', "https://r.example/token"],
  ] as const
) {
  Deno.test(`a token is asked for where the challenge says ${realm}`, async () => {
    const { client, sent } = clientOf((url, { authorization }) => {
      if (url.pathname === "/token") return Response.json({ token: "t" });
      return authorization === "Bearer t" ? manifest() : new Response(null, {
        status: 401,
        headers: { "www-authenticate": `Bearer ${realm},service=s` },
      });
    }, anna);
    await client.manifest(parseReference("r.example/a"));
    assert.ok(sent[1]!.url.startsWith(`${address}?service=s&`), sent[1]!.url);
  });
}

for (const realm of ["https://169.254.169.254/t", "https://localhost/t"]) {
  Deno.test(`a password does not go to a token server at ${realm}`, async () => {
    const { client, sent } = clientOf(() =>
      new Response(null, {
        status: 401,
        headers: { "www-authenticate": `Bearer realm="${realm}"` },
      }), anna);
    const promise = client.manifest(parseReference("r.example/a"));
    assert.equal(await kindOf(promise), "unauthorized");
    assert.equal(sent.length, 1);
  });
}

Deno.test("a registry that knows no HEAD is asked by GET", async () => {
  let heads = 0;
  const client = new RegistryClient({
    fetch: (_, init) => {
      if (init?.method !== "HEAD") return Promise.resolve(manifest());
      heads++;
      return Promise.resolve(new Response(null, { status: 405 }));
    },
  });
  const found = await client.resolve(parseReference("r.example/a"));
  assert.deepEqual(found, { mediaType: MEDIA.ociManifest, digest, size: 2 });
  assert.equal(heads, 1);
});

Deno.test("a tag that is an address is refused unsent", async () => {
  const { client, sent } = clientOf(manifest);
  const promise = client.manifest(parseReference("r.example/a"), {
    tag: "../../other/manifests/x",
  });
  await assert.rejects(promise, RegistryError);
  assert.equal(sent.length, 0);
});

const entry = (of: string) => ({
  mediaType: MEDIA.ociManifest,
  digest: sha256(new TextEncoder().encode(of)),
  size: 2,
  artifactType: "x/y",
});

const page = (manifests: unknown[], link: string | null) =>
  new Response(JSON.stringify({ schemaVersion: 2, manifests }), {
    headers: {
      "content-type": MEDIA.ociIndex,
      ...(link !== null && { link }),
    },
  });

for (
  const elsewhere of [
    "https://evil.example/next",
    "https://r.example:8443/next",
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:10250/pods",
    "file:///etc/passwd",
    "https://",
  ]
) {
  Deno.test(`a page of referrers at ${elsewhere} is not asked for, what came before is kept`, async () => {
    const { client, sent } = clientOf((url) =>
      url.pathname.includes("/referrers/")
        ? page([entry("a")], `<${elsewhere}>; rel="next"`)
        : new Response(null, { status: 404 })
    );
    const found = await client.referrers(
      parseReference("r.example/a"),
      digest,
      "x/y",
    );
    assert.deepEqual(found, [entry("a")]);
    assert.equal(sent.length, 1);
  });
}

Deno.test("pages of referrers without end are left, what came is kept", async () => {
  let asked = 0;
  const { client } = clientOf((url) => {
    if (!url.pathname.includes("/referrers/")) {
      return new Response(null, { status: 404 });
    }
    asked++;
    const next = `<${url.pathname}?n=${asked}>; rel=next`;
    return page(asked === 1 ? [entry("a")] : [], next);
  });
  const found = await client.referrers(
    parseReference("r.example/a"),
    digest,
    "x/y",
  );
  assert.deepEqual(found, [entry("a")]);
  assert.equal(asked, 100);
});

Deno.test("a page of referrers that leads to itself is read once", async () => {
  const { client, sent } = clientOf((url) =>
    url.pathname.includes("/referrers/")
      ? page([entry("a")], `<${url.href}>; rel="next"`)
      : new Response(null, { status: 404 })
  );
  await client.referrers(parseReference("r.example/a"), digest, "x/y");
  assert.equal(sent.length, 1);
});

Deno.test("pages of referrers are followed where the registry names itself by HTTP", async () => {
  const { client, sent } = clientOf((url) =>
    !url.pathname.includes("/referrers/")
      ? new Response(null, { status: 404 })
      : url.search.includes("n=2")
      ? page([entry("b")], null)
      : page([entry("a")], `<http://r.example${url.pathname}?n=2>; rel=next`)
  );
  const found = await client.referrers(
    parseReference("r.example/a"),
    digest,
    "x/y",
  );
  assert.deepEqual(found, [entry("a"), entry("b")]);
  assert.match(sent[1]!.url, /^https:/);
});
