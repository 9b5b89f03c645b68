/** What one registry, or one repository of it, does to requests for others. */
import assert from "node:assert/strict";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";

const BYTES = new TextEncoder().encode("well");
const DIGEST = sha256(BYTES);

/** Registries whose token servers answer, but for those of repositories named `hung`. */
function answers(asked: string[]): typeof fetch {
  return (input, init) => {
    const url = new URL(String(input));
    asked.push(url.href);
    const { headers, signal } = init as RequestInit & { headers: Headers };
    if (/hung/.test(url.href) && url.pathname === "/token") {
      return new Promise((_, reject) =>
        signal?.addEventListener("abort", () => reject(signal.reason))
      );
    }
    if (url.pathname === "/token") {
      return Promise.resolve(Response.json({ token: "t", expires_in: 300 }));
    }
    if (!headers.has("authorization")) {
      return Promise.resolve(
        new Response(null, {
          status: 401,
          headers: {
            "www-authenticate": `Bearer realm="${url.origin}/token"`,
          },
        }),
      );
    }
    return Promise.resolve(new Response(BYTES.slice()));
  };
}

Deno.test("a token server that hangs keeps no request for another repository or another registry waiting", async () => {
  const asked: string[] = [];
  using client = new RegistryClient({
    fetch: answers(asked),
    plainHttp: true,
    timeouts: { headersMs: 60_000 },
  });
  const stop = new AbortController();
  const read = (host: string, repository: string) =>
    client.blobBytes(
      { host, repository },
      { digest: DIGEST, size: BYTES.length },
      { maxBytes: 100, signal: stop.signal },
    );
  const hung = Array.from(
    { length: 50 },
    () => read("shared.example", "hung/app").catch(() => "ended"),
  );
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(asked.some((url) => /token.*hung/.test(url)));
  assert.deepEqual(await read("shared.example", "team/app"), BYTES);
  assert.deepEqual(await read("other.example", "team/app"), BYTES);
  stop.abort(new Error("left"));
  assert.deepEqual(new Set(await Promise.all(hung)), new Set(["ended"]));
});
