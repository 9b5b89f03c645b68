import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { isDigest } from "../../formats/oci/mod.ts";
import { SOCI_ANNOTATION } from "../../formats/soci/mod.ts";
import {
  connectContainerd,
  type Containerd,
} from "../../remote/containerd/mod.ts";
import { ContainerdPlace, isMissing } from "../../remote/content/mod.ts";
import {
  type Image,
  ImageFamily,
  PlatformNotFoundError,
} from "../../remote/image/mod.ts";
import { parseReference } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { ImageCatalog, NamedImage } from "../snapshotter/mod.ts";

const log = logger("images");

/** How many names' images are remembered; the oldest are forgotten first. */
const MAX_KNOWN = 4096;
/** Images that are read in parallel. */
const READS = 8;
/** The name that containerd's CRI service gives an image by its ID: it names no repository. */
const IMAGE_ID = /^sha256:[0-9a-f]{64}$/;

/** What one manifest says. */
interface KnownImage {
  readonly manifestDigest: Digest;
  /** Of all its layers; empty where it has none. */
  readonly chainId: string;
  /** Of the index that it names; null when it names none. */
  readonly indexDigest: Digest | null;
}

/** Asks containerd which images it has. Manifests never change, so what they say is remembered by digest. */
export class ContainerdCatalog implements ImageCatalog, Disposable {
  readonly #socketPath: string;
  readonly #connections = new Map<string, Promise<Containerd>>();
  readonly #known = new Map<Digest, readonly KnownImage[]>();

  /** Connects when it is first asked. @param socketPath containerd's. */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async ofChain(
    namespace: string,
    chainId: string,
    signal: AbortSignal,
  ): Promise<readonly NamedImage[]> {
    const containerd = await this.#connect(namespace, signal);
    const place = new ContainerdPlace(containerd);
    const records = await containerd.images.list([], { signal });
    const found: NamedImage[] = [];
    const next = records.values();
    const work = async () => {
      for (const { name, target } of next) {
        const repository = repositoryOf(name);
        if (repository === null) continue;
        for (const image of await this.#images(place, target, signal)) {
          if (image.chainId !== chainId) continue;
          const { manifestDigest, indexDigest } = image;
          found.push({ ...repository, manifestDigest, indexDigest });
        }
      }
    };
    await Promise.all(Array.from({ length: READS }, work));
    return found;
  }

  async #connect(namespace: string, signal: AbortSignal): Promise<Containerd> {
    const known = this.#connections.get(namespace);
    if (known !== undefined) return await known;
    const connecting = connectContainerd(this.#socketPath, {
      namespace,
      signal,
    });
    this.#connections.set(namespace, connecting);
    connecting.catch(() => this.#connections.delete(namespace));
    return await connecting;
  }

  async #images(
    place: ContainerdPlace,
    target: Descriptor,
    signal: AbortSignal,
  ): Promise<readonly KnownImage[]> {
    const known = this.#known.get(target.digest);
    if (known !== undefined) return known;
    try {
      const images = await readImages(place, target, signal);
      this.#known.set(target.digest, images);
      const oldest = this.#known.keys().next();
      if (this.#known.size > MAX_KNOWN && !oldest.done) {
        this.#known.delete(oldest.value);
      }
      return images;
    } catch (error) {
      signal.throwIfAborted();
      // Its content is not here, or it is no image: no container runs on it.
      if (!isMissing(error)) {
        log.debug("an image of containerd cannot be read", {
          image: target.digest,
          error: String(error),
        });
      }
      return [];
    }
  }

  /** Ends the connections. */
  [Symbol.dispose](): void {
    for (const connection of this.#connections.values()) {
      connection.then((containerd) => containerd.close(), () => {});
    }
    this.#connections.clear();
  }
}

/**
 * The images of a connection's namespace by name, each with the chain ID of all its layers, of each platform that
 * this machine runs. One whose manifest is not here has none.
 */
export async function imagesWithChains(
  containerd: Containerd,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly chainIds: readonly string[] }[]> {
  const place = new ContainerdPlace(containerd);
  const found = [];
  for (const { name, target } of await containerd.images.list([], { signal })) {
    const images = await readImages(place, target, signal).catch((error) => {
      signal.throwIfAborted();
      if (!isMissing(error)) throw error;
      return [];
    });
    found.push({ name, chainIds: images.map(({ chainId }) => chainId) });
  }
  return found;
}

async function readImages(
  place: ContainerdPlace,
  target: Descriptor,
  signal: AbortSignal,
): Promise<readonly KnownImage[]> {
  const bytes = await place.bytes(target, { signal });
  const family = new ImageFamily(place, { descriptor: target, bytes });
  let chosen: readonly Descriptor[];
  try {
    chosen = await family.choose({}, signal);
  } catch (error) {
    if (!(error instanceof PlatformNotFoundError)) throw error;
    return []; // for other machines
  }
  return await Promise.all(
    chosen.map(async (descriptor) =>
      knownImage(await family.image(descriptor, signal), signal)
    ),
  );
}

async function knownImage(
  image: Image,
  signal: AbortSignal,
): Promise<KnownImage> {
  const layers = await image.layers(signal);
  const named = image.manifest.annotations?.[SOCI_ANNOTATION.indexDigest];
  return {
    manifestDigest: image.descriptor.digest,
    chainId: layers.at(-1)?.chainId ?? "",
    indexDigest: isDigest(named) ? named : null,
  };
}

function repositoryOf(
  name: string,
): { host: string; repository: string } | null {
  if (IMAGE_ID.test(name)) return null;
  try {
    const { host, repository } = parseReference(name);
    return { host, repository };
  } catch {
    return null; // no name of a registry's
  }
}
