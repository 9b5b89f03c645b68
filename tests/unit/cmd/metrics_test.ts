import assert from "node:assert/strict";
import { MetricsServer } from "../../../cmd/metrics.ts";
import { ConfigError } from "../../../lib/config/mod.ts";
import { freePort } from "../../support/host/mod.ts";

Deno.test("every metric is on its page, and no other", () => {
  const names = (path: string, pattern: RegExp) =>
    [...new Set(Deno.readTextFileSync(path).matchAll(pattern))]
      .map(([, name]) => name).sort();
  assert.deepEqual(
    names("cmd/metrics.ts", /"(soci_(?:deno|fs)_\w+)"/g),
    names("docs/metrics.md", /^\| `(soci_\w+)`/gm),
  );
});

Deno.test("before the daemon is ready it is alive and not ready", async () => {
  const port = freePort();
  const place = { address: `127.0.0.1:${port}`, network: "tcp" } as const;
  await using _server = new MetricsServer(place, () => null);
  const status = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    await answer.body?.cancel();
    return answer.status;
  };
  assert.equal(await status("/healthz"), 200);
  assert.equal(await status("/readyz"), 503);
  assert.equal(await status("/metrics"), 503);
});

Deno.test("an address that is taken is tried again until it is free", async () => {
  const port = freePort();
  const place = { address: `127.0.0.1:${port}`, network: "tcp" } as const;
  const taken = Deno.listen({ hostname: "127.0.0.1", port });
  await using _server = new MetricsServer(place, () => null);
  taken.close();
  for (;;) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`);
      assert.equal(await answer.text(), "ok\n");
      break;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
});

Deno.test("a socket takes the place of one that was left, and of nothing else", async () => {
  const folder = await Deno.makeTempDir();
  const address = `${folder}/metrics.sock`;
  Deno.writeTextFileSync(`${folder}/file`, "kept");
  Deno.listen({ transport: "unix", path: address }).close();
  {
    await using _server = new MetricsServer(
      { address, network: "unix" },
      () => null,
    );
    assert.ok(Deno.lstatSync(address).isSocket);
  }
  {
    await using _server = new MetricsServer({
      address: `${folder}/file`,
      network: "unix",
    }, () => null);
    assert.equal(Deno.readTextFileSync(`${folder}/file`), "kept");
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("an address without a port is refused with a line that says so", () => {
  assert.throws(
    () =>
      new MetricsServer({ address: "localhost", network: "tcp" }, () => null),
    (error) =>
      error instanceof ConfigError &&
      error.message ===
        'metrics_address: expected HOST:PORT, but it is "localhost"',
  );
});
