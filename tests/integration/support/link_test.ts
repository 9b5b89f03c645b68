import assert from "node:assert/strict";
import { throttle } from "../../support/link/mod.ts";

/** A server that answers every request with `size` bytes. */
function server(size: number) {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(new Uint8Array(size)),
  );
}

async function fetched(host: string): Promise<number> {
  return (await (await fetch(`http://${host}/`)).bytes()).length;
}

Deno.test("a link holds its rate over several connections", async () => {
  await using origin = server(500_000);
  await using link = await throttle(`127.0.0.1:${origin.addr.port}`, {
    bitsPerSecond: 40_000_000,
    delayMs: 0,
  });
  const start = performance.now();
  const sizes = await Promise.all([fetched(link.host), fetched(link.host)]);
  const seconds = (performance.now() - start) / 1000;
  assert.deepEqual(sizes, [500_000, 500_000]);
  assert.ok(link.bytes() >= 1_000_000);
  const megabits = link.bytes() * 8 / 1e6 / seconds;
  assert.ok(megabits < 43, `${megabits} Mbit/s is over the rate`);
  assert.ok(megabits > 10, `${megabits} Mbit/s is far below the rate`);
});

Deno.test("a link delays both directions", async () => {
  await using origin = server(10);
  await using link = await throttle(`127.0.0.1:${origin.addr.port}`, {
    bitsPerSecond: 1e9,
    delayMs: 40,
  });
  const start = performance.now();
  await fetched(link.host);
  assert.ok(performance.now() - start >= 77);
});

Deno.test("a link to nobody closes the connection", async () => {
  await using link = await throttle("127.0.0.1:1", {
    bitsPerSecond: 1e9,
    delayMs: 0,
  });
  await assert.rejects(fetched(link.host));
  assert.ok(link.connections() >= 1);
});
