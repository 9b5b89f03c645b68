/**
 * The registry of the cold start benchmark. It keeps images and what was published for them between
 * runs: a publication is made again when the code that makes it has changed.
 * @module
 */
import { MEDIA, sha256 } from "../../../lib/formats/oci/mod.ts";
import {
  type CertificateAuthority,
  type DockerRegistry,
  makeCertificateAuthority,
  sociDenoCommand,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import {
  type Image,
  pushImage,
  type PushOptions,
} from "../../support/images/mod.ts";
import { nameLoopback } from "../../support/peer/mod.ts";
import { cacheFolder, run, someFiles } from "../support.ts";
import { type Contents, contentsOf, type Manifests } from "./contents.ts";
import { coldStartImage } from "./images.ts";
import { indexInPassing } from "./passing.ts";
import { type Recorded, recordingOf } from "./recording.ts";
import { convertForStargz } from "./stargz.ts";
import type { Name } from "./workloads.ts";

const HOST = "coldstart.soci-deno.test";
const TAG = "1";
/** Of an image that is published under `TAG` as another one. */
const ORIGINAL = "original";
/** A tag that says that all is there. */
const DONE = "done";
const ROOT = new URL("../../../", import.meta.url).pathname;
/** What decides about the bytes of indexes and all that goes with them. */
const MAKERS = [
  ...["lib/formats", "lib/indexes", "lib/layers/builder"],
  "lib/images/order",
];

/** How an image is published: what is found beside it in its repository. */
export type Publication =
  /** Nothing: no index. */
  | "bare"
  /** With the index that the existing tools would make: spans of 4 MiB. */
  | "existing"
  /** With what `build-index` makes, of all layers. */
  | "index"
  /** With what `build-index` makes unless told otherwise. */
  | "built"
  /** With what a node pushed that took the image whole. */
  | "passing"
  /** And with the order in which a start was seen to read. */
  | "order"
  /** And with the bytes that it read. */
  | "pack"
  /** The same, pinned: the image names its index, which names companion and pack. */
  | "pinned"
  /** And with the bytes that something else was seen to read. */
  | "wrong"
  /** Converted for the stargz snapshotter, with what a start read in front. */
  | "stargz";

/** Of what no code of ours makes. */
const KEYS: Partial<Record<Publication, string>> = {
  bare: "1",
  stargz: "0.19.1",
};
const EXISTING_FLAGS = ["--span-size", "4MiB"];

/** What is recorded, and how it is published. */
const ORDERS: Partial<
  Record<Publication, { recorded: Recorded; flags: readonly string[] }>
> = {
  order: { recorded: "recorded", flags: ["--no-pack"] },
  pack: { recorded: "recorded", flags: [] },
  wrong: { recorded: "other", flags: [] },
};

/** An image in the registry, by one publication. */
export interface Published extends Contents {
  readonly repository: string;
}

/** docker-registry with a certificate for a name, and a storage that stays. */
export class BenchRegistry implements AsyncDisposable {
  readonly #key = makersKey();

  private constructor(
    readonly authority: CertificateAuthority,
    private readonly server: DockerRegistry,
    private readonly client: Deno.HttpClient,
    private readonly stack: AsyncDisposableStack,
  ) {}

  static async start(): Promise<BenchRegistry> {
    await using stack = new AsyncDisposableStack();
    stack.use(await onlyRun());
    const authority = stack.use(await makeCertificateAuthority());
    stack.use(nameLoopback(HOST));
    const server = stack.use(
      await startDockerRegistry({
        tls: await authority.issue(["127.0.0.1", HOST]),
        storage: `${cacheFolder()}/coldstart/registry`,
      }),
    );
    const client = stack.use(
      Deno.createHttpClient({ caCerts: [authority.certPem] }),
    );
    return new BenchRegistry(authority, server, client, stack.move());
  }

  /** Of its process. */
  get pid(): number {
    return this.server.pid;
  }

  /** `127.0.0.1:<port>`, for lines to it. */
  get host(): string {
    return this.server.host;
  }

  /** An image by name, reached through a port (its own or a line's). */
  reference(
    { repository }: Pick<Published, "repository">,
    port = this.server.port,
  ): string {
    return `${HOST}:${port}/${repository}:${TAG}`;
  }

  /** What was requested since the first `from` characters of the log. */
  log(): string {
    return this.server.logs();
  }

  /** Sees to it that an image is here with what belongs to it. */
  async publish(name: Name, publication: Publication): Promise<Published> {
    const key = KEYS[publication] ?? this.#key;
    const repository = `coldstart/${name}/${publication}-${key}`;
    const manifests: Manifests = (tag) =>
      this.#bytes(`${repository}/manifests/${tag}`);
    if (await manifests(DONE) === null) {
      const image = await coldStartImage(name);
      console.log(`publishing ${repository} (kept for later runs)`);
      const reference = this.reference({ repository });
      if (publication === "stargz") {
        const original = await this.publish(name, "index");
        await convertForStargz(name, {
          image: this.reference(original),
          target: reference,
          caFile: this.authority.certPath,
        });
      } else {
        const tag = publication === "pinned" ? ORIGINAL : TAG;
        await pushImage(this.host, `${repository}:${tag}`, image, this.#push);
        if (publication !== "bare") {
          await this.#build(name, publication, {
            ...{ reference, digest: image.digest },
          });
        }
      }
      await pushImage(this.host, `${repository}:${DONE}`, image, this.#push);
    }
    return { repository, ...await contentsOf(TAG, manifests) };
  }

  /** Pushes an image of another kind under a name, unless it is there. @param index whether one is made for it. */
  async push(
    repository: string,
    make: () => Promise<Image>,
    { index }: { index: boolean },
  ): Promise<string> {
    const reference = this.reference({ repository });
    if (await this.#bytes(`${repository}/manifests/${DONE}`) !== null) {
      return reference;
    }
    const image = await make();
    await pushImage(this.host, `${repository}:${TAG}`, image, this.#push);
    if (index) {
      await sociDeno(
        ...["build-index", "--min-layer-size", "0"],
        ...["--tlscacert", this.authority.certPath, reference],
      );
    }
    await pushImage(this.host, `${repository}:${DONE}`, image, this.#push);
    return reference;
  }

  /** Some blobs of a repository; null for null. */
  blobs(
    { repository }: Published,
    digests: ReadonlyArray<string | null>,
  ): Promise<Array<Uint8Array<ArrayBuffer> | null>> {
    return Promise.all(
      digests.map((digest) =>
        digest === null ? null : this.#bytes(`${repository}/blobs/${digest}`)
      ),
    );
  }

  /** Makes and pushes what belongs to an image. */
  async #build(
    name: Name,
    publication: Publication,
    image: { reference: string; digest: string },
  ): Promise<void> {
    const { reference, digest } = image;
    const caFile = this.authority.certPath;
    const common = ["--tlscacert", caFile];
    if (publication === "passing") {
      const referrers = digest.replace(":", "-");
      const repository = reference.replace(/^[^/]*\/(.*):.*$/, "$1");
      return await indexInPassing(reference, {
        caFile,
        referrers: () => this.#bytes(`${repository}/manifests/${referrers}`),
      });
    }
    if (publication === "built") {
      return await sociDeno("build-index", ...common, reference);
    }
    if (publication === "pinned") {
      const original = reference.replace(/:[^:]*$/, `:${ORIGINAL}`);
      const recording = await recordingOf(name, "recorded", {
        ...{ image: original, digest, caFile },
      });
      await sociDeno(
        ...["build-index", "--min-layer-size", "0", ...common],
        ...["--to", TAG, "--load-order", recording, original],
      );
      return;
    }
    await sociDeno(
      ...["build-index", "--min-layer-size", "0", ...common],
      ...publication === "existing" ? EXISTING_FLAGS : [],
      reference,
    );
    const order = ORDERS[publication];
    if (order === undefined) return;
    const recording = await recordingOf(name, order.recorded, {
      ...{ image: reference, digest, caFile },
    });
    await sociDeno(
      ...["order", "push", ...common, ...order.flags, reference, recording],
    );
  }

  get #push(): PushOptions {
    return { scheme: "https", caCerts: [this.authority.certPem] };
  }

  async #bytes(path: string): Promise<Uint8Array<ArrayBuffer> | null> {
    const accept = [MEDIA.ociManifest, MEDIA.ociIndex].join(", ");
    const response = await fetch(`https://${this.host}/v2/${path}`, {
      headers: { accept },
      client: this.client,
    });
    const bytes = await response.bytes();
    return response.ok ? bytes : null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stack.disposeAsync();
  }
}

/** Waits until no other run uses the same folders and ports. */
async function onlyRun(): Promise<Disposable> {
  const folder = `${cacheFolder()}/coldstart`;
  await Deno.mkdir(folder, { recursive: true });
  const file = await Deno.open(`${folder}/lock`, { create: true, write: true });
  if (!await file.tryLock(true)) {
    console.log("another run is under way: waiting for its end");
    await file.lock(true);
  }
  return file;
}

async function sociDeno(...args: string[]): Promise<void> {
  const command = sociDenoCommand(...args);
  await run(command.program, command.args);
}

/** Changes with the code that makes indexes. */
function makersKey(): string {
  const files = MAKERS.flatMap((room) => someFiles(`${ROOT}${room}`, Infinity));
  const texts = files.map((file) => Deno.readTextFileSync(file));
  return sha256(new TextEncoder().encode(texts.join("\0"))).slice(7, 19);
}
