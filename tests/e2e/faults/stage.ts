/** A host with an image of many fresh layers, and containers that read them while faults happen. @module */
import type { FaceWish } from "../../../lib/layers/faces/mod.ts";
import { sha256 } from "../../../lib/formats/oci/mod.ts";
import {
  type CommandResult,
  ctrRun,
  pause,
  run,
} from "../../support/host/mod.ts";
import {
  compressible,
  type Image,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  type PushOptions,
  TarBuilder,
} from "../../support/images/mod.ts";
import { buildIndexIn, type DaemonProcess, LazyHost } from "../host.ts";
import { READER, type ReadingPlan, type ReadingReport } from "./reader.ts";

/** How long a read waits at most before it fails, as the stage's daemon is told. */
export const BOUND_MS = 2000;

const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[blob]
max_read_wait_sec = ${BOUND_MS / 1000}
[http]
MaxRetries = 8
MinWaitMsec = 10
MaxWaitMsec = 500
`;

/** A layer whose files nobody has read yet, and their digests. */
export interface DataLayer {
  readonly folder: string;
  readonly blob: LayerBlob;
  readonly files: Readonly<Record<string, string>>;
}

/** A layer of files of 150 KiB in `/data-<number>`, a third of them compressible. */
export function dataLayer(number: number, files = 32): DataLayer {
  const folder = `data-${number}`;
  const tar = new TarBuilder().dir(folder);
  const digests: Record<string, string> = {};
  for (let i = 0; i < files; i++) {
    const size = 150 * 1024 + i;
    const bytes = i % 3 === 0
      ? compressible(size)
      : incompressible(size, number * 1000 + i);
    bytes[0] = number; // so that compressible ones differ too
    digests[`file-${i}`] = hex(bytes);
    tar.file(`${folder}/file-${i}`, bytes);
  }
  return { folder, blob: layerBlob(tar), files: digests };
}

function hex(bytes: Uint8Array): string {
  return sha256(bytes).slice("sha256:".length);
}

let program: Image | null = null;

/** Python and what it needs, below the given layers. */
export function imageWith(layers: readonly LayerBlob[]): Image {
  program ??= programImage();
  return makeImage({
    layers: [...program.layers.slice(0, 3), ...layers],
    config: { env: ["PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"] },
  });
}

/** Where the stage's image is pushed and how it is reached. */
export interface StageRegistry {
  /** As the daemon is told: `host:port`. */
  readonly host: string;
  /** As the image is pushed; the same when not given. */
  readonly pushHost?: string;
  readonly push?: PushOptions;
  /** Flags for `build-index`. */
  readonly indexFlags?: readonly string[];
  /** Folder of Docker's configuration, for `build-index`. */
  readonly dockerConfig?: string;
  readonly caFile?: string;
}

/** A container that reads one data layer. */
export interface Reading {
  /** Lets it read from now on. */
  go(): Promise<void>;
  /** Resolves when so many files were read. */
  reached(files: number): Promise<void>;
  readonly report: Promise<ReadingReport>;
}

/** An indexed image in a registry. */
export interface Published {
  readonly image: string;
  readonly layers: readonly DataLayer[];
  readonly caFile?: string | undefined;
}

/** Pushes and indexes an image of Python and so many data layers. */
export async function publish(
  registry: StageRegistry,
  options: { layers: number; filesPerLayer?: number },
): Promise<Published> {
  const layers = Array.from(
    { length: options.layers },
    (_, number) => dataLayer(number, options.filesPerLayer),
  );
  await pushImage(
    registry.pushHost ?? registry.host,
    "faults:1",
    imageWith(layers.map(({ blob }) => blob)),
    registry.push,
  );
  const image = `${registry.host}/faults:1`;
  const { dockerConfig } = registry;
  await buildIndexIn(
    dockerConfig === undefined ? {} : { DOCKER_CONFIG: dockerConfig },
    ...["--min-layer-size", "0", "--span-size", "64KiB"],
    ...registry.indexFlags ?? [],
    image,
  );
  return { image, layers, caFile: registry.caFile };
}

/** One daemon, one containerd, one image whose data layers are used up one after another. */
export class Stage implements AsyncDisposable {
  #used = 0;

  private constructor(
    readonly host: LazyHost,
    readonly image: string,
    readonly layers: readonly DataLayer[],
    readonly control: string,
  ) {}

  /** Starts a host and pulls the image. */
  static async start(
    { image, layers, caFile }: Published,
    options: { daemon?: DaemonProcess; config?: string; face?: FaceWish } = {},
  ): Promise<Stage> {
    const host = await LazyHost.start({
      config: CONFIG + (options.config ?? ""),
      ...(caFile !== undefined && { caFile }),
      ...(options.daemon !== undefined && { daemon: options.daemon }),
      ...(options.face !== undefined && { face: options.face }),
    });
    const control = await Deno.makeTempDir({ prefix: "soci-deno-control-" });
    await Deno.writeTextFile(`${control}/reader.py`, READER);
    const stage = new Stage(host, image, layers, control);
    try {
      const pulled = await host.pull(image);
      if (pulled.layers.some(({ outcome }) => outcome !== "served")) {
        throw new Error(`not all layers are served\n${host.logs()}`);
      }
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** Data layers that nobody has read yet. */
  get left(): number {
    return this.layers.length - this.#used;
  }

  /** A data layer that nobody has read yet. */
  fresh(): DataLayer {
    const layer = this.layers[this.#used++];
    if (layer === undefined) throw new Error("the stage has no layer left");
    return layer;
  }

  /** Starts a container; it is loaded and waits for `go` when this returns. */
  async read(
    layer: DataLayer,
    options: {
      pauseMs: number;
      seconds: number;
      /** Whether the container lives on when its client is cut off from containerd. */
      clientMayEnd?: boolean;
    },
  ): Promise<Reading> {
    const id = `reader-${crypto.randomUUID().slice(0, 8)}`;
    const folder = `${this.control}/${id}`;
    await Deno.mkdir(folder);
    const plan: ReadingPlan = {
      files: layer.files,
      pauseMs: options.pauseMs,
    };
    await Deno.writeTextFile(`${folder}/plan.json`, JSON.stringify(plan));
    const running = ctrRun(this.host.containerd, {
      image: this.image,
      id,
      snapshotter: "soci",
      flags: [
        "--mount",
        `type=bind,src=${this.control},dst=/tmp,options=rbind:rw`,
      ],
      args: [
        ...["/usr/bin/python3", "/tmp/reader.py", `/${layer.folder}`],
        ...[`/tmp/${id}`, String(options.seconds)],
      ],
      timeoutMs: options.seconds * 1000 + 60_000,
    });
    let client: CommandResult | null = null;
    running.then((result) => client = result);
    const deadline = performance.now() + options.seconds * 1000 + 30_000;
    /** Waits for the container; its client may be cut off before it ends. */
    const until = async (what: () => boolean) => {
      while (!what()) {
        if (performance.now() > deadline || (client?.code ?? 0) !== 0) {
          if (exists("report")) return;
          if (performance.now() > deadline || !options.clientMayEnd) {
            throw new Error(
              `the reader did not end well: ${JSON.stringify(client)}\n${
                this.host.logs().slice(-3000)
              }`,
            );
          }
        }
        await pause(10);
      }
    };
    const exists = (name: string) => {
      try {
        return Deno.statSync(`${folder}/${name}`).isFile;
      } catch {
        return false; // not yet
      }
    };
    await until(() => exists("ready"));
    const report = until(() => exists("report")).then(async () => {
      if (!options.clientMayEnd) await running;
      return JSON.parse(Deno.readTextFileSync(`${folder}/report`));
    });
    report.catch(() => {}); // awaited by the caller
    return {
      go: () => Deno.writeTextFile(`${folder}/go`, ""),
      reached: (files) =>
        until(() => Number(Deno.readTextFileSync(`${folder}/done`)) >= files),
      report,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
    await Deno.remove(this.control, { recursive: true });
  }
}

/** Forgets clean pages and dentries of the whole machine. */
export async function dropCaches(): Promise<void> {
  await run("sh", ["-c", "sync; echo 3 > /proc/sys/vm/drop_caches"]);
}
