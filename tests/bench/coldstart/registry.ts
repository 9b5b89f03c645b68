/**
 * The registry of the cold start benchmark. It keeps images and what was published for them between
 * runs: a publication is made again when the code that makes it has changed.
 * @module
 */
import { sha256 } from "../../../lib/formats/oci/mod.ts";
import {
  type CertificateAuthority,
  type DockerRegistry,
  makeCertificateAuthority,
  sociDenoCommand,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import { type Image, pushImage } from "../../support/images/mod.ts";
import { nameLoopback } from "../../support/peer/mod.ts";
import { cacheFolder, run, someFiles } from "../support.ts";
import { coldStartImage } from "./images.ts";
import type { Name } from "./workloads.ts";

const HOST = "coldstart.soci-deno.test";
const TAG = "1";
const ROOT = new URL("../../../", import.meta.url).pathname;
/** What decides about the bytes of indexes and all that goes with them. */
const MAKERS = ["lib/formats", "lib/indexes", "lib/layers/builder"];

/** How an image is published: what is found beside it in its repository. */
export type Publication =
  /** With the index that the existing tools would make: spans of 4 MiB. */
  | "existing"
  /** With what `build-index` makes unless told otherwise. */
  | "index";

const BUILD_FLAGS: Readonly<Record<Publication, readonly string[]>> = {
  existing: ["--min-layer-size", "0", "--span-size", "4MiB"],
  index: ["--min-layer-size", "0"],
};

/** Blobs and manifests that a start fetches, by what they are. */
export type Kind = "manifest" | "config" | "index" | "ztoc" | "layer" | "other";

/** An image in the registry, by one publication. */
export interface Published {
  readonly repository: string;
  /** Of the image's manifest. */
  readonly digest: string;
  readonly kinds: ReadonlyMap<string, Kind>;
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
    const repository = `coldstart/${name}/${publication}-${this.#key}`;
    if (!await this.#has(repository, "done")) {
      const image = await coldStartImage(name);
      console.log(`publishing ${repository} (kept for later runs)`);
      await this.#push(repository, image);
      await this.#build(repository, publication);
      await this.#mark(repository, image);
    }
    const { digest } = await this.#json(repository, TAG);
    return { repository, digest, kinds: await this.#kinds(repository) };
  }

  async #push(repository: string, image: Image): Promise<void> {
    await pushImage(this.host, `${repository}:${TAG}`, image, {
      scheme: "https",
      caCerts: [this.authority.certPem],
    });
  }

  async #build(repository: string, publication: Publication): Promise<void> {
    const { program, args } = sociDenoCommand(
      ...["build-index", ...BUILD_FLAGS[publication]],
      ...[
        "--tlscacert",
        this.authority.certPath,
        this.reference({ repository }),
      ],
    );
    await run(program, args);
  }

  /** A second tag, which says that all is there. */
  async #mark(repository: string, image: Image): Promise<void> {
    await this.#fetch(`${repository}/manifests/done`, {
      method: "PUT",
      headers: { "content-type": image.mediaType },
      body: image.manifest as Uint8Array<ArrayBuffer>,
    });
  }

  async #has(repository: string, tag: string): Promise<boolean> {
    const response = await this.#fetch(`${repository}/manifests/${tag}`);
    await response.body?.cancel();
    return response.status === 200;
  }

  /** What each digest of a repository is. */
  async #kinds(repository: string): Promise<Map<string, Kind>> {
    const kinds = new Map<string, Kind>();
    const image = await this.#json(repository, TAG);
    kinds.set(image.config!.digest, "config");
    for (const layer of image.layers!) kinds.set(layer.digest, "layer");
    kinds.set(image.digest, "manifest");
    kinds.set(TAG, "manifest");
    const fallback = image.digest.replace(":", "-");
    kinds.set(fallback, "index");
    const referrers = await this.#json(repository, fallback);
    for (const { digest } of referrers.manifests ?? []) {
      kinds.set(digest, "index");
      const index = await this.#json(repository, digest);
      for (const blob of index.layers ?? []) {
        kinds.set(blob.digest, kindOf(blob.mediaType));
      }
    }
    return kinds;
  }

  async #json(repository: string, tag: string): Promise<AnyManifest> {
    const response = await this.#fetch(`${repository}/manifests/${tag}`);
    const bytes = await response.bytes();
    return {
      ...JSON.parse(new TextDecoder().decode(bytes)),
      digest: sha256(bytes),
    };
  }

  #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const accept = "application/vnd.oci.image.manifest.v1+json, " +
      "application/vnd.oci.image.index.v1+json";
    return fetch(`https://${this.host}/v2/${path}`, {
      ...init,
      headers: { accept, ...init.headers },
      client: this.client,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stack.disposeAsync();
  }
}

interface Part {
  readonly digest: string;
  readonly mediaType: string;
}

interface AnyManifest {
  readonly digest: string;
  readonly config?: Part;
  readonly layers?: readonly Part[];
  readonly manifests?: readonly Part[];
}

function kindOf(mediaType: string): Kind {
  // An index lists its ztocs as plain bytes.
  return mediaType === "application/octet-stream" ? "ztoc" : "other";
}

/** Changes with the code that makes indexes. */
function makersKey(): string {
  const files = MAKERS.flatMap((room) => someFiles(`${ROOT}${room}`, Infinity));
  const texts = files.map((file) => Deno.readTextFileSync(file));
  return sha256(new TextEncoder().encode(texts.join("\0"))).slice(7, 19);
}
