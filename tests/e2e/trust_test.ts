/**
 * One containerd, several registries, one of which lies: what a container reads is decided by its own
 * image, whatever images came before it.
 */
import assert from "node:assert/strict";
import {
  encodeIndex,
  makeIndex,
  SOCI_ANNOTATION,
  ztocDescriptor,
} from "../../lib/formats/soci/mod.ts";
import { encodeZtoc, ZtocBuilder } from "../../lib/formats/ztoc/mod.ts";
import { MEDIA } from "../../lib/formats/oci/mod.ts";
import { type CommandResult, ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { LazyHost, sociDeno } from "./host.ts";

const CONFIG = `
[background_fetch]
disable = true
[trust]
complete_wait_sec = 8
`;

/** A base whose `/word` says a word; equal but for that. */
function base(word: string, seed = 1): LayerBlob {
  return layerBlob(
    addBusybox(new TarBuilder()).file("word", `${word}\n`)
      .file("noise", incompressible(600_000, seed)),
    { level: 0 }, // as long as each other
  );
}

const GOOD = base("GOOD");
const EVIL = base("EVIL");
const top = (name: string) =>
  layerBlob(
    new TarBuilder().file(name, `${name}\n`)
      .file(`${name}-noise`, incompressible(200_000, name.length)),
  );

/** A ztoc of other bytes: of a blob that is as long as the layer, so that nothing else gives it away. */
function ztocOf(blob: Uint8Array, spanSize = 256 * 1024): Uint8Array {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize });
  builder.push(new Uint8Array(blob));
  return encodeZtoc(builder.finish().ztoc);
}

/** Puts an image with a v2 index into a registry, whose ztocs are of the bytes that are given for each layer. */
function push(
  registry: TestRegistry,
  repository: string,
  layers: readonly LayerBlob[],
  bytes: readonly Uint8Array[] = layers.map(({ bytes }) => bytes),
): { name: string; image: Image } {
  const plain = makeImage({ layers, config: { cmd: ["/bin/sh"] } });
  const ztocs = layers.map((layer, at) => {
    const ztoc = registry.addBlob(repository, ztocOf(bytes[at]!));
    return ztocDescriptor({
      digest: ztoc.digest,
      size: ztoc.size,
      layer: { mediaType: MEDIA.ociLayerGzip, digest: layer.digest },
      spanSizeBytes: 256 * 1024,
    });
  });
  const index = registry.addManifest(
    repository,
    encodeIndex(makeIndex({ layers: ztocs })) as Uint8Array<ArrayBuffer>,
  );
  const manifest = {
    ...JSON.parse(new TextDecoder().decode(plain.manifest)),
    annotations: { [SOCI_ANNOTATION.indexDigest]: index.digest },
  };
  registry.addBlob(repository, plain.config);
  for (const layer of layers) registry.addBlob(repository, layer.bytes);
  const { digest } = registry.addManifest(repository, manifest, { tag: "1" });
  return {
    name: `${registry.host}/${repository}:1`,
    image: { ...plain, digest },
  };
}

/** A registry that gives other bytes for layers of a digest. */
function lying(
  lies: ReadonlyMap<string, Uint8Array>,
): TestRegistry {
  const registry = startRegistry();
  registry.intercept = (path, request) => {
    const digest = path.split("/blobs/")[1] ?? "";
    const bytes = lies.get(digest);
    if (bytes === undefined) return null;
    const [, from, to] =
      /bytes=(\d+)-(\d+)/.exec(request.headers.get("range") ?? "") ?? [];
    if (from === undefined) return new Response(new Uint8Array(bytes));
    const part = bytes.slice(Number(from), Number(to) + 1);
    return new Response(new Uint8Array(part), {
      status: 206,
      headers: {
        "content-range": `bytes ${from}-${
          Number(from) + part.length - 1
        }/${bytes.length}`,
      },
    });
  };
  return registry;
}

async function pull(
  host: LazyHost,
  image: string,
  namespace = "default",
): Promise<void> {
  const { code, stderr } = await sociDeno(
    ...["pull", "--address", host.containerd.address],
    ...["--namespace", namespace, image],
  );
  assert.equal(code, 0, `${stderr}\n${host.logs()}`);
}

function read(
  host: LazyHost,
  image: string,
  namespace = "default",
): Promise<CommandResult> {
  return ctrRun(host.containerd, {
    image,
    id: `trust-${crypto.randomUUID()}`,
    snapshotter: "soci",
    namespace,
    args: ["/bin/busybox", "cat", "/word"],
  });
}

async function says(
  host: LazyHost,
  word: string,
  image: string,
  namespace = "default",
): Promise<void> {
  const { code, stdout, stderr } = await read(host, image, namespace);
  assert.equal(code, 0, `${stderr}\n${host.logs().slice(-6000)}`);
  assert.equal(stdout, `${word}\n`);
}

/** The evil one's registry and its image on the good base, whose ztoc and bytes say EVIL. */
function evilImage(above: LayerBlob[]) {
  const registry = lying(
    new Map([[GOOD.digest, EVIL.bytes]]),
  );
  const { name } = push(
    registry,
    "evil/app",
    [GOOD, ...above],
    [
      EVIL.bytes,
      ...above.map(({ bytes }) => bytes),
    ],
  );
  return { registry, name };
}

Deno.test("of images that share a base each reads what its own index says, in one namespace and in two, also when the first is gone and the daemon has started again", async () => {
  const evil = evilImage([top("evil")]);
  await using _evil = evil.registry;
  await using honest = startRegistry();
  const { name } = push(honest, "team/app", [GOOD, top("good")]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, evil.name);
  await says(host, "EVIL", evil.name);
  await pull(host, name);
  await says(host, "GOOD", name);
  await pull(host, name, "other");
  await says(host, "GOOD", name, "other");
  await host.killDaemon();
  await host.startDaemon();
  await host.reconnected();
  await says(host, "GOOD", name);
  await host.containerd.ctr("images", "rm", "--sync", evil.name);
  await pause(500);
  await says(host, "GOOD", name);
  await says(host, "GOOD", name, "other");
});

Deno.test("an image without an index does not run on a base that another image lied about, and runs in a namespace of its own", async () => {
  const evil = evilImage([top("evil")]);
  await using _evil = evil.registry;
  await using honest = startRegistry();
  const victim = makeImage({ layers: [GOOD, top("plain")] });
  await pushImage(honest.host, "team/plain:1", victim);
  const name = `${honest.host}/team/plain:1`;
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, evil.name);
  await says(host, "EVIL", evil.name);
  const { code, stderr } = await sociDeno(
    ...["pull", "--address", host.containerd.address, name],
  );
  if (code === 0) {
    const { stdout } = await read(host, name);
    assert.notEqual(stdout, "EVIL\n");
  } else assert.match(stderr, /not proven/);
  await pull(host, name, "other");
  await says(host, "GOOD", name, "other");
});

Deno.test("a registry that has no blob gives no container another image's layer; one that has it shares it, and asks nothing when it is gone", async () => {
  await using honest = startRegistry();
  const owner = push(honest, "team/app", [GOOD, top("good")]);
  const second = push(honest, "team/second", [GOOD, top("good")]);
  const firstBytes = new Uint8Array(GOOD.bytes.length);
  firstBytes.set(GOOD.bytes.subarray(0, 64));
  await using thief = lying(new Map([[GOOD.digest, firstBytes]]));
  const stolen = push(thief, "thief/app", [GOOD, top("good")]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, owner.name);
  await says(host, "GOOD", owner.name);
  await pull(host, stolen.name, "thief");
  assert.equal((await read(host, stolen.name, "thief")).stdout, "");
  await pull(host, second.name, "other");
  honest.requests.length = 0;
  await says(host, "GOOD", second.name, "other");
  await honest.close();
  await host.killDaemon();
  await host.startDaemon();
  await host.reconnected();
  await says(host, "GOOD", owner.name);
  await says(host, "GOOD", second.name, "other");
});
