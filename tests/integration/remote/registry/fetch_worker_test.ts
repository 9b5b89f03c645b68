import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  FetchedNetwork,
  NearNetwork,
  ownNetwork,
} from "../../../../lib/remote/network/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { makeCertificateAuthority } from "../../../support/host/mod.ts";
import { noise, startRegistry } from "../../../support/registry/mod.ts";
import { deafHost } from "./deaf_host.ts";
import { fails, QUICK } from "./helpers.ts";

function serve(
  answer: (request: Request) => Response | Promise<Response>,
  tls: { cert: string; key: string } | Record<string, never> = {},
) {
  const stop = new AbortController();
  const server = Deno.serve({
    ...{ hostname: "127.0.0.1", port: 0, onListen() {} },
    ...tls,
    signal: stop.signal,
  }, answer);
  return {
    host: `127.0.0.1:${(server.addr as Deno.NetAddr).port}`,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await server.finished;
    },
  };
}

const only = (...places: string[]) =>
  new FetchedNetwork({ images: [], places });

Deno.test("a client whose network is a Worker's pulls, reads parts and pushes as any other", async () => {
  await using registry = startRegistry();
  using network = only(registry.host);
  using client = new RegistryClient({ ...QUICK, network });
  const reference = parseReference(`${registry.host}/team/app:v1`);
  const bytes = noise(3_000_000);
  const blob = registry.addBlob("team/app", bytes);
  const stream = await client.blob(reference, blob);
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  assert.equal(sha256(whole), blob.digest);
  await Promise.all([0, 7, 1_000_000].map(async (start) => {
    const into = new Uint8Array(1_500_001);
    const end = start + into.length;
    await client.range(reference, blob.digest, start, end, into);
    assert.equal(Buffer.compare(into, bytes.subarray(start, end)), 0);
  }));
  for (const streamed of [false, true]) {
    const content = noise(700_000 + (streamed ? 1 : 0));
    const pushed = { digest: sha256(content), size: content.length };
    const source = streamed ? () => new Blob([content]).stream() : content;
    assert.ok(await client.pushBlob(reference, pushed, source));
    const back = await client.blobBytes(reference, pushed, {
      maxBytes: content.length,
    });
    assert.equal(sha256(back), pushed.digest);
  }
  await fails(
    "not-found",
    client.manifest(reference, { tag: "none" }),
  );
});

Deno.test("the Worker asks no host that was not named and to which nobody led", async () => {
  let asked = 0;
  await using other = serve(() => {
    asked++;
    return new Response("told");
  });
  await using named = serve(() => Response.redirect(`http://${other.host}/x`));
  using network = only(named.host);
  const { fetch } = network.sender({});
  await assert.rejects(
    fetch(`http://${other.host}/`),
    /is no host that the command line names/,
  );
  await assert.rejects(fetch("data:text/plain,x"), /is not spoken/);
  assert.equal(asked, 0);
  const answer = await fetch(`http://${named.host}/`);
  assert.equal(answer.status, 302); // it follows nothing by itself
  assert.equal(await (await fetch(`http://${other.host}/`)).text(), "told");
});

Deno.test("the Worker trusts the authorities that it is handed, and none where verification is off", async () => {
  await using authority = await makeCertificateAuthority();
  const { cert, key } = await authority.issue(["127.0.0.1"]);
  await using server = serve(
    async (request) => new Response(await request.text()),
    {
      cert: await Deno.readTextFile(cert),
      key: await Deno.readTextFile(key),
    },
  );
  using network = only(server.host);
  const send = { method: "PUT", body: new TextEncoder().encode("told") };
  for (const tls of [{ caCerts: [authority.certPem] }, { skipVerify: true }]) {
    const { fetch } = network.sender(tls);
    const answer = await fetch(`https://${server.host}/`, send);
    assert.equal(await answer.text(), "told");
  }
  await assert.rejects(
    network.sender({}).fetch(`https://${server.host}/`, send),
    TypeError,
  );
});

Deno.test("the Worker reads no further ahead than its reader has room, and stops when nobody wants the rest", async () => {
  let sent = 0;
  const ended = Promise.withResolvers<void>();
  await using endless = serve(() =>
    new Response(
      new ReadableStream({
        pull(controller) {
          sent += 64 * 1024;
          controller.enqueue(new Uint8Array(64 * 1024));
        },
        cancel: () => ended.resolve(),
      }, { highWaterMark: 0 }),
    )
  );
  using network = only(endless.host);
  const { body } = await network.sender({}).fetch(`http://${endless.host}/`);
  const reader = body!.getReader();
  await reader.read();
  // The kernel's buffers hold some MB; a reader without bounds would take all that comes.
  let before = -1;
  while (sent !== before) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(sent < 64 * 2 ** 20, `${sent} bytes were sent`);
  await reader.cancel();
  await ended.promise;
});

Deno.test("an abort ends a request that waits for its answer, and the answer's body", async () => {
  await using silent = serve(({ url, signal }) =>
    url.endsWith("/head")
      ? new Promise((resolve) =>
        signal.addEventListener("abort", () => resolve(new Response()))
      )
      : new Response(new ReadableStream({ pull: () => new Promise(() => {}) }))
  );
  using network = only(silent.host);
  const { fetch } = network.sender({});
  for (const path of ["head", "body"]) {
    const stop = new AbortController();
    const reason = new Error("enough");
    const reading = fetch(`http://${silent.host}/${path}`, {
      signal: stop.signal,
    }).then((answer) => answer.text());
    setTimeout(() => stop.abort(reason), 50);
    await assert.rejects(reading, reason);
  }
});

Deno.test("what a request's body throws, its sender is told; a lost connection is told as one", async () => {
  await using sink = serve(async (request) => {
    await request.arrayBuffer().catch(() => {});
    return new Response();
  });
  using network = only(sink.host, "127.0.0.1:1");
  const { fetch } = network.sender({});
  const broken = new ReadableStream({
    pull() {
      throw new Error("the disk is gone");
    },
  }, { highWaterMark: 0 });
  await assert.rejects(
    fetch(`http://${sink.host}/`, { method: "PUT", body: broken }),
    /the disk is gone/,
  );
  await assert.rejects(fetch("http://127.0.0.1:1/"), TypeError);
  using client = new RegistryClient({ ...QUICK, network });
  await fails("unavailable", client.resolve(parseReference("127.0.0.1:1/a/b")));
});

Deno.test("names are looked up where the network is", async () => {
  using network = only();
  assert.ok((await network.lookup("localhost")).length > 0);
  await assert.rejects(network.lookup("no-such-name.invalid"));
});

Deno.test("a host that takes no connection is given up after its dial_timeout through the Worker, too, one that is slow to answer is not", async () => {
  await using deaf = await deafHost();
  await using slow = serve(async () => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    return new Response(null, { status: 404 });
  });
  using network = only(deaf.host, slow.host);
  using client = new RegistryClient({
    retry: { retries: 0 },
    hosts: () => ({ mirrors: [], server: { dialMs: 200 } }),
    network,
  });
  await assert.rejects(
    client.manifest(parseReference(`${deaf.host}/team/app:1`)),
    /no connection within 200 ms/,
  );
  await fails(
    "not-found",
    client.manifest(parseReference(`${slow.host}/team/app:1`)),
  );
});

Deno.test("the Worker connects to no host that was not named", async () => {
  await using other = serve(() => new Response());
  using network = only("named.example");
  await assert.rejects(network.connect(new URL(`http://${other.host}/`)));
  using named = only(other.host);
  await named.connect(new URL(`http://${other.host}/`));
});

Deno.test("hosts that give content are asked from here, and what they lead to is asked by the Worker alone", async () => {
  const bytes = noise(2_000_000);
  await using other = serve(() => new Response("told"));
  let moves = false;
  const asked: string[] = [];
  await using giving = serve(({ headers, method }) => {
    asked.push(`${method} ${headers.get("x-from") ?? "Worker"}`);
    return moves
      ? Response.redirect(`http://${other.host}/x`)
      : new Response(bytes);
  });
  using far = only(giving.host);
  const own = ownNetwork((input, init) =>
    fetch(input, { ...init, headers: { "x-from": "here" } })
  );
  const may = ({ host }: URL) => host === giving.host;
  const { fetch: send } = new NearNetwork(far, own, may).sender({});
  const take = async (method = "GET") => {
    const answer = await send(`http://${giving.host}/`, {
      method,
      redirect: "manual",
    });
    await answer.arrayBuffer();
    return answer.status;
  };
  await take();
  await take();
  await take("POST");
  assert.deepEqual(asked.splice(0), ["GET Worker", "GET here", "POST Worker"]);
  moves = true;
  assert.equal(await take(), 302);
  assert.equal(await take(), 302);
  assert.deepEqual(asked, ["GET here", "GET Worker", "GET Worker"]);
  assert.equal(await (await send(`http://${other.host}/`)).text(), "told");
});
