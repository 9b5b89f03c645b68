/** Neighbours that are bad, each in its way. @module */
import { encodeZtoc, ZtocBuilder } from "../../../lib/formats/ztoc/mod.ts";
import { ctrRun, pause, startDockerRegistry } from "../../support/host/mod.ts";
import {
  type Image,
  incompressible,
  layerBlob,
  longZtoc,
  makeImage,
  TarBuilder,
} from "../../support/images/mod.ts";
import { addIndexedImage } from "../../support/images/indexed.ts";
import { Switch, throttle } from "../../support/link/mod.ts";
import { type Fault, startRegistry } from "../../support/registry/mod.ts";
import { chainIds, LayerClient } from "../layer_client.ts";
import {
  beginningOf,
  pushIndexed,
  startLyingRegistry,
  ztocOfBlob,
} from "../forged.ts";
import { evilPack } from "./evil_pack.ts";
import {
  type Greedy,
  greedyPrograms,
  type NeighbourKind,
  NEIGHBOURS_CORES,
  until,
} from "./stage.ts";

/** Files that the ztoc of the huge index lists: 24 MB of them. */
const HUGE_FILES = 120_000;
const MANY_LAYERS = 1500;
/** Between two calls of a client that asks for ever, ms. containerd takes longer for a layer. */
const BETWEEN_CALLS_MS = 20;
/** Between two containers that get nothing, ms. */
const BETWEEN_CONTAINERS_MS = 250;

/** Reads that failed tell that a registry gives nothing, as its readers see it. */
function shownBy(greedy: Greedy, what: string): string | null {
  const errors = greedy.errors();
  return errors === 0
    ? null
    : `${what}: ${errors} reads of its own container failed`;
}

/** Its registry is stopped in its tracks: connections are taken, and nothing is said. */
const hung: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const registry = owned.use(await startDockerRegistry());
  const greedy = await stage.greedy(registry.host);
  const rest = owned.move();
  return {
    async spoil() {
      registry.kill("SIGSTOP");
      await greedy.go();
    },
    shown: () => shownBy(greedy, "a registry that hangs"),
    async [Symbol.asyncDispose]() {
      registry.kill("SIGCONT");
      await greedy.end();
      await rest.disposeAsync();
    },
  };
};

/** Its registry gives 3 kB a second. */
const dripping: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const registry = owned.use(startRegistry());
  const well = registry.host as `127.0.0.1:${number}`;
  const line = owned.use(new Switch(well));
  const greedy = await stage.greedy(well, `127.0.0.1:${line.port}`);
  const drip = owned.use(
    await throttle(well, { bitsPerSecond: 24_000, delayMs: 1 }),
  );
  const rest = owned.move();
  return {
    async spoil() {
      line.lead(drip.host as `127.0.0.1:${number}`);
      await greedy.go();
      await until(() => drip.bytes() > 0);
    },
    shown: () =>
      shownBy(greedy, `a registry that drips, ${drip.bytes()} bytes`),
    async [Symbol.asyncDispose]() {
      line.lead(well);
      await greedy.end();
      await rest.disposeAsync();
    },
  };
};

/** Its registry does something else with every request for bytes. */
function faulty(what: string, fault: Fault): NeighbourKind {
  return async (stage) => {
    await using owned = new AsyncDisposableStack();
    const registry = owned.use(startRegistry());
    const greedy = await stage.greedy(registry.host);
    const rest = owned.move();
    return {
      async spoil() {
        registry.faults.add(fault);
        await greedy.go();
      },
      shown: () => shownBy(greedy, what),
      async [Symbol.asyncDispose]() {
        registry.faults.clear();
        await greedy.end();
        await rest.disposeAsync();
      },
    };
  };
}

/** Its registry answers 503 to every request for bytes. */
const unavailable: NeighbourKind = faulty(
  "a registry that answers 503",
  { kind: "status", status: 503 },
);

/** Its registry gives wrong bytes. */
const lying: NeighbourKind = faulty(
  "a registry that lies",
  { kind: "corrupt" },
);

/**
 * An image that is prepared and removed again and again, layer by layer.
 * @param inWords what its index is, and how many of its layers were prepared.
 */
function pulledForEver(
  image: Image,
  ztocs: readonly Uint8Array[],
  inWords: (prepared: number) => string,
): NeighbourKind {
  return (stage) => {
    const registry = startRegistry();
    addIndexedImage(registry, "endless:1", image, ztocs);
    const client = new LayerClient(stage.host.socket);
    const reference = `${registry.host}/endless:1`;
    const chain = chainIds(image);
    let isOver = false;
    let prepared = 0;
    const round = async () => {
      let top = 0;
      for (; top < chain.length; top++) {
        if (isOver) return; // what was prepared goes with the stage
        if (!await client.prepare(reference, image, chain, top)) {
          throw new Error(`layer ${top} is not served lazily`);
        }
        prepared++;
        await pause(BETWEEN_CALLS_MS);
      }
      while (top > 0) {
        await client.remove(chain[--top]!);
        await pause(BETWEEN_CALLS_MS);
      }
    };
    let going: Promise<void> = Promise.resolve();
    return Promise.resolve({
      async spoil() {
        going = (async () => {
          while (!isOver) await round();
        })();
        going.catch(() => {}); // told at the end
        await until(() => prepared > 0);
      },
      shown: () =>
        prepared >= Math.min(2 * chain.length, 100) ? inWords(prepared) : null,
      async [Symbol.asyncDispose]() {
        isOver = true;
        try {
          await going;
        } finally {
          client[Symbol.dispose]();
          await registry.close();
        }
      },
    });
  };
}

/** The index of its image lists more files than any image has, for a layer of one. */
const hugeIndex: NeighbourKind = (stage) => {
  const layer = layerBlob(new TarBuilder().file("file", "text"));
  const ztoc = longZtoc(HUGE_FILES, layer);
  return pulledForEver(
    makeImage({ layers: [layer] }),
    [ztoc],
    (times) => `a ztoc of ${ztoc.length} bytes, opened ${times} times`,
  )(stage);
};

/** Its image has 1500 layers. */
const manyLayers: NeighbourKind = (stage) => {
  const layers = Array.from(
    { length: MANY_LAYERS },
    (_, i) => layerBlob(new TarBuilder().file(`file-${i}`, "text")),
  );
  const ztocs = layers.map(({ bytes }) => {
    const builder = new ZtocBuilder({ compression: "gzip", spanSize: 2 ** 22 });
    builder.push(bytes);
    return encodeZtoc(builder.finish().ztoc);
  });
  return pulledForEver(
    makeImage({ layers }),
    ztocs,
    (count) => `an image of ${MANY_LAYERS} layers, ${count} of them prepared`,
  )(stage);
};

/**
 * Its image has the healthy one's layer, by digest and diff ID, and names a ztoc of other bytes for it, which its
 * registry gives.
 */
const sameDigestOtherZtoc: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const layer = stage.layers.at(-1)!;
  const tar = new TarBuilder().dir("data");
  for (let i = 0; i < 24; i++) {
    tar.file(`data/file-${i}`, incompressible(2 ** 20, 9000 + i));
  }
  const forged = layerBlob(tar).bytes;
  const registry = owned.use(
    startLyingRegistry(new Map([[layer.digest, forged]])),
  );
  const programs = greedyPrograms("other ztoc");
  const { name } = pushIndexed(registry, "other-ztoc", [
    { layer: programs, ztoc: ztocOfBlob(programs.bytes) },
    { layer, ztoc: ztocOfBlob(forged), size: forged.length },
  ]);
  const greedy = await stage.greedyOn(name);
  const reads = () =>
    registry.requests.filter(({ path, status }) =>
      path.endsWith(layer.digest) && status === 206
    ).length;
  const rest = owned.move();
  return {
    spoil: () => greedy.go(),
    shown: () =>
      reads() === 0
        ? null
        : `a registry that gave ${reads()} parts of other bytes for the healthy layer's digest`,
    async [Symbol.asyncDispose]() {
      await greedy.end();
      await rest.disposeAsync();
    },
  };
};

/**
 * Its image names the healthy one's layer and ztoc. Its registry has no blob: it answers each HEAD rightly, and
 * gives the first bytes.
 */
const digestOnly: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const layer = stage.layers.at(-1)!;
  const registry = owned.use(
    startLyingRegistry(new Map([[layer.digest, beginningOf(layer.bytes)]])),
  );
  const programs = greedyPrograms("digest only");
  const { name } = pushIndexed(registry, "digest-only", [
    { layer: programs, ztoc: ztocOfBlob(programs.bytes) },
    { layer, ztoc: stage.ztocs.get(layer.digest)! },
  ]);
  const greedy = await stage.greedyOn(name);
  const rest = owned.move();
  return {
    spoil: () => greedy.go(),
    shown: () => shownBy(greedy, "a registry that knows only the digest"),
    async [Symbol.asyncDispose]() {
      await greedy.end();
      await rest.disposeAsync();
    },
  };
};

/** The same for all layers of the healthy image, with its diff IDs, from another namespace of containerd. */
const digestOnlyElsewhere: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const registry = owned.use(
    startLyingRegistry(
      new Map(
        stage.layers.map(({ digest, bytes }) => [digest, beginningOf(bytes)]),
      ),
    ),
  );
  const { name } = pushIndexed(
    registry,
    "elsewhere",
    stage.layers.map((layer) => ({
      layer,
      ztoc: stage.ztocs.get(layer.digest)!,
    })),
  );
  const namespace = "elsewhere";
  let refused = 0;
  let given: string | null = null;
  let running = true;
  let done = Promise.resolve();
  const rest = owned.move();
  return {
    async spoil() {
      await stage.host.pull(name, namespace);
      done = (async () => {
        while (running) {
          const { code, stdout } = await ctrRun(stage.host.containerd, {
            image: name,
            id: `elsewhere-${crypto.randomUUID().slice(0, 8)}`,
            snapshotter: "soci",
            namespace,
            flags: [...NEIGHBOURS_CORES],
            args: ["/usr/bin/python3", "-c", "print(open('/data/file-0'))"],
          });
          if (code === 0) given = stdout;
          else refused++;
          await pause(BETWEEN_CONTAINERS_MS);
        }
      })();
    },
    shown() {
      if (given !== null) throw new Error(`it was given the layer: ${given}`);
      return refused === 0
        ? null
        : `${refused} containers of a registry that knows only digests got nothing`;
    },
    async [Symbol.asyncDispose]() {
      running = false;
      await done;
      await rest.disposeAsync();
    },
  };
};

/** All of them, by what they are called. */
export const KINDS: Readonly<Record<string, NeighbourKind>> = {
  "hung": hung,
  "dripping": dripping,
  "lying": lying,
  "503": unavailable,
  "huge index": hugeIndex,
  "1500 layers": manyLayers,
  "same digest, other ztoc": sameDigestOtherZtoc,
  "digest only": digestOnly,
  "digest only, other namespace": digestOnlyElsewhere,
  "evil pack": evilPack,
};
