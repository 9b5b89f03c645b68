import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  hostsDir,
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  makeCertificateAuthority,
  pause,
  startDockerRegistry,
} from "../../../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { noise, startRegistry } from "../../../support/registry/mod.ts";
import { fails, QUICK } from "./helpers.ts";

const IMAGE = makeImage({
  layers: [layerBlob(new TarBuilder().file("a", incompressible(2 ** 20)))],
});

async function inFolder(body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readText({ cert, key }: { cert: string; key: string }) {
  return {
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
  };
}

/** Reads and writes at a registry, in every way the client does. */
async function useRegistry(client: RegistryClient, host: string) {
  const reference = parseReference(`${host}/a/b:1`);
  const { bytes } = await client.manifest(reference);
  assert.equal(sha256(bytes), IMAGE.digest);
  const [layer] = IMAGE.layers;
  const descriptor = { digest: layer!.digest, size: layer!.bytes.length };
  const blob = await client.blob(reference, descriptor);
  assert.equal(
    sha256(new Uint8Array(await new Response(blob).arrayBuffer())),
    layer!.digest,
  );
  const into = new Uint8Array(100);
  await client.range(reference, layer!.digest, 1000, 1100, into);
  assert.deepEqual(into, new Uint8Array(layer!.bytes.slice(1000, 1100)));
  for (const [seed, streamed] of [[1, false], [2, true]] as const) {
    const content = incompressible(300_000, seed);
    const pushed = { digest: sha256(content), size: content.length };
    const source = streamed
      ? () => ReadableStream.from([content.slice(0, 9), content.slice(9)])
      : content;
    assert.equal(await client.pushBlob(reference, pushed, source), true);
    assert.equal(await client.hasBlob(reference, pushed.digest), true);
  }
}

Deno.test("with verification off any certificate is taken, for reading and writing", async () => {
  await using authority = await makeCertificateAuthority();
  const files = await authority.issue(["another.example"]);
  await using registry = await startDockerRegistry({ tls: files });
  await pushImage(registry.host, "a/b:1", IMAGE, {
    scheme: "https",
    caCerts: [authority.certPem],
  }).catch(() => {}); // the name does not fit: it goes below
  using careless = new RegistryClient({
    ...QUICK,
    plainHttp: false,
    skipVerify: true,
  });
  const reference = parseReference(`${registry.host}/a/b:1`);
  for (const [digest, bytes] of IMAGE.blobs) {
    await careless.pushBlob(
      reference,
      { digest, size: bytes.length },
      new Uint8Array(bytes),
    );
  }
  await careless.pushManifest(reference, IMAGE.manifest, IMAGE.mediaType, {
    tag: "1",
  });
  await useRegistry(careless, registry.host);
  using careful = new RegistryClient({ ...QUICK, plainHttp: false });
  await fails("unavailable", careful.resolve(reference));
});

Deno.test("a registry that asks for a certificate gets ours", async () => {
  await using authority = await makeCertificateAuthority();
  const server = await authority.issue(["127.0.0.1"]);
  const client = await authority.issue(["client"], { use: "client" });
  await using registry = await startDockerRegistry({
    tls: { ...server, clientCas: authority.certPath },
  });
  const options = {
    ...QUICK,
    plainHttp: false,
    caCerts: [authority.certPem],
  };
  const clientCert = await readText(client);
  const reference = parseReference(`${registry.host}/a/b:1`);
  using known = new RegistryClient({ ...options, clientCert });
  for (const [digest, bytes] of IMAGE.blobs) {
    await known.pushBlob(
      reference,
      { digest, size: bytes.length },
      new Uint8Array(bytes),
    );
  }
  await known.pushManifest(reference, IMAGE.manifest, IMAGE.mediaType, {
    tag: "1",
  });
  await useRegistry(known, registry.host);
  using unknown = new RegistryClient(options);
  await fails("unavailable", unknown.resolve(reference));

  await inFolder(async (folder) => {
    const place = `${folder}/${registry.host}`;
    await Deno.mkdir(place);
    await Deno.copyFile(authority.certPath, `${place}/ca.crt`);
    await Deno.writeTextFile(
      `${place}/hosts.toml`,
      `server = "https://${registry.host}"
ca = "ca.crt"
client = [["${client.cert}", "${client.key}"]]
`,
    );
    using configured = new RegistryClient({
      ...QUICK,
      hosts: hostsDir(folder),
    });
    const { digest } = await configured.resolve(reference);
    assert.equal(digest, IMAGE.digest);
  });
});

/** A client whose `--hosts-dir` says this of `registry.example`. */
function configuredClient(toml: (folder: string) => string) {
  const folder = Deno.makeTempDirSync();
  Deno.mkdirSync(`${folder}/registry.example`);
  Deno.writeTextFileSync(
    `${folder}/registry.example/hosts.toml`,
    toml(`${folder}/registry.example`),
  );
  const client = new RegistryClient({ ...QUICK, hosts: hostsDir(folder) });
  return {
    client,
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

Deno.test("a host leads to where hosts.toml says, with its headers, whole path and pushes", async () => {
  await using registry = startRegistry();
  const seen: Headers[] = [];
  await using gateway = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    (request) => {
      seen.push(request.headers);
      const { pathname, search } = new URL(request.url);
      const path = pathname.replace(/^\/gate\/way\//, "/v2/");
      return fetch(`${registry.url}${path}${search}`, {
        method: request.method,
        headers: request.headers,
        body: request.body,
        redirect: "manual",
      });
    },
  );
  using configured = configuredClient(() =>
    `[host."http://127.0.0.1:${gateway.addr.port}/gate/way"]
override_path = true
capabilities = ["pull", "resolve", "push"]
[host."http://127.0.0.1:${gateway.addr.port}/gate/way".header]
x-team = "blue"
`
  );
  const { client } = configured;
  const reference = parseReference("registry.example/a/b:1");
  const bytes = noise(1000);
  const blob = { digest: sha256(bytes), size: bytes.length };
  registry.addBlob("a/b", noise(10, 3));
  assert.equal(await client.hasBlob(reference, blob.digest), false);
  registry.addBlob("a/b", bytes);
  assert.equal(await client.hasBlob(reference, blob.digest), true);
  await client.pushManifest(reference, IMAGE.manifest, IMAGE.mediaType, {
    tag: "1",
  });
  const { digest } = await client.resolve(reference);
  assert.equal(digest, IMAGE.digest);
  assert.ok(seen.length >= 4);
  assert.ok(seen.every((headers) => headers.get("x-team") === "blue"));
});

Deno.test("a place is asked for what it can do alone", async () => {
  await using mirror = startRegistry();
  await using registry = startRegistry();
  using configured = configuredClient(() =>
    `server = "${registry.url}"
[host."${mirror.url}"]
capabilities = ["pull"]
`
  );
  const { client } = configured;
  const reference = parseReference("registry.example/a/b:1");
  await client.pushManifest(reference, IMAGE.manifest, IMAGE.mediaType, {
    tag: "1",
  });
  assert.equal(mirror.requests.length, 0, "it does not take pushes");
  await client.resolve(reference);
  assert.equal(mirror.requests.length, 0, "it does not know tags");
  await client.manifest(reference, { digest: IMAGE.digest });
  assert.ok(mirror.requests.length > 0, "it is asked for digests first");
});

Deno.test("bytes of large blobs come by HTTP/1.1 and all else by HTTP/2, with the same authorities and certificate", async () => {
  await using authority = await makeCertificateAuthority();
  const server = await authority.issue(["127.0.0.1"]);
  const ours = await authority.issue(["client"], { use: "client" });
  await using registry = await startDockerRegistry({
    tls: { ...server, clientCas: authority.certPath },
  });
  using client = new RegistryClient({
    ...{ ...QUICK, plainHttp: false, caCerts: [authority.certPem] },
    clientCert: await readText(ours),
  });
  const reference = parseReference(`${registry.host}/a/b:1`);
  const bytes = noise(16 * 2 ** 20, 5);
  const { length: size } = bytes;
  const digest = sha256(bytes);
  await client.pushBlob(reference, { digest, size }, bytes);
  const read = async (start: number, isBulk: boolean) => {
    const into = new Uint8Array(100_000);
    await client.range(
      ...[reference, digest, start, start + into.length, into] as const,
      ...[undefined, undefined, { isBulk }] as const,
    );
    assert.deepEqual(into, bytes.slice(start, start + into.length));
  };
  /** By what requests for the blob came, as the registry logs them once they are over. */
  const protocols = async (requests: number, work: () => Promise<unknown>) => {
    const { length } = registry.logs();
    await work();
    for (;;) {
      const found = registry.logs().slice(length)
        .matchAll(/"GET \S+\/blobs\/\S+ (HTTP\/[\d.]+)" 20/g);
      const all = [...found].map(([, protocol]) => protocol);
      if (all.length >= requests) return all;
      await pause(10);
    }
  };
  assert.deepEqual(await protocols(1, () => read(7, false)), ["HTTP/2.0"]);
  assert.deepEqual(
    await protocols(2, () => Promise.all([read(0, true), read(9, true)])),
    ["HTTP/1.1", "HTTP/1.1"],
  );
  const whole = async (offset: number) => {
    const stream = await client.blob(reference, { digest, size }, { offset });
    const all = await new Response(stream).bytes();
    assert.equal(sha256(all), sha256(bytes.subarray(offset)));
  };
  assert.deepEqual(await protocols(1, () => whole(0)), ["HTTP/1.1"]);
  assert.deepEqual(await protocols(1, () => whole(size - 5)), ["HTTP/2.0"]);
});
