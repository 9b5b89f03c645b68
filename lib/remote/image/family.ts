import {
  type Descriptor,
  hostPlatform,
  isIndexMediaType,
  matchPlatform,
  parseIndex,
  type Platform,
  readIndexEntries,
} from "../../formats/oci/mod.ts";
import type { ImageSource } from "../content/mod.ts";
import { PlatformNotFoundError } from "./errors.ts";
import { type Document, Image } from "./image.ts";

/**
 * The most images whose platform is read from their config because the index does not say it: two
 * requests each.
 */
const MAX_LOOKED_UP = 32;
/** The most images kept after they were read; the oldest are dropped first. */
const MAX_KEPT = MAX_LOOKED_UP;

/** Which images of a family are meant. */
export interface PlatformChoice {
  /** Platforms asked for; none: this machine's, or the only one the image has. */
  readonly platforms?: readonly Platform[] | undefined;
  /** Every platform the image has. */
  readonly all?: boolean | undefined;
}

/**
 * What an image's name stands for at a place, and every image below it. Documents are kept, so each is
 * read once.
 */
export class ImageFamily implements Document {
  /** Of the index, or of the one manifest. */
  readonly descriptor: Descriptor;
  /** That document as it was read. */
  readonly bytes: Uint8Array;
  /** Whether it is an index; else it is the one image's manifest. */
  readonly isIndex: boolean;
  /** All that the index names and that can be read; the image's own descriptor where there is no index. */
  readonly members: readonly Descriptor[];
  /** Descriptors of runnable images, in order; SOCI indexes and attestations are left out. */
  readonly images: readonly Descriptor[];
  readonly #read = new Map<Descriptor, Promise<Image>>();

  /** A document that was read. @throws ManifestError when it is none */
  constructor(
    /** Where it is; stays the caller's. */
    readonly source: ImageSource,
    { descriptor, bytes }: Document,
  ) {
    this.descriptor = descriptor;
    this.bytes = bytes;
    this.isIndex = isIndexMediaType(descriptor.mediaType);
    this.members = this.isIndex
      ? readMembers(bytes, descriptor.mediaType)
      : [descriptor];
    this.images = this.members.filter(({ artifactType, platform }) =>
      artifactType === undefined && platform?.os !== "unknown"
    );
  }

  /** As a person would name it, for messages. */
  get name(): string {
    return this.source.imageName ?? this.descriptor.digest;
  }

  /** One of {@link ImageFamily.images}. @throws ManifestError and the source's errors */
  image(descriptor: Descriptor, signal?: AbortSignal): Promise<Image> {
    const known = this.#read.get(descriptor);
    if (known !== undefined) return known;
    const image = this.#image(descriptor, signal);
    this.#read.set(descriptor, image);
    image.catch(() => this.#read.delete(descriptor));
    const oldest = this.#read.keys().next();
    if (this.#read.size > MAX_KEPT && !oldest.done) {
      this.#read.delete(oldest.value);
    }
    return image;
  }

  async #image(descriptor: Descriptor, signal?: AbortSignal): Promise<Image> {
    const bytes = descriptor.digest === this.descriptor.digest
      ? this.bytes
      : await this.source.bytes(descriptor, { signal });
    const manifest = { descriptor, bytes };
    return await Image.of(this.source, this.name, manifest, signal);
  }

  /**
   * The images that a choice means, in the order asked for.
   * @throws PlatformNotFoundError
   */
  async choose(
    { platforms, all = false }: PlatformChoice,
    signal?: AbortSignal,
  ): Promise<readonly Descriptor[]> {
    const { images } = this;
    if (all || (platforms === undefined && images.length === 1)) return images;
    const asked = platforms ?? [hostPlatform()];
    let offers: readonly Offer[] = images.map((image) => ({
      image,
      platform: image.platform ?? null,
    }));
    if (asked.some((wanted) => offerFor(wanted, offers) === undefined)) {
      offers = await this.#lookUp(offers, signal);
    }
    const chosen = asked.map((wanted) => {
      const found = offerFor(wanted, offers);
      if (found !== undefined) return found.image;
      throw new PlatformNotFoundError(
        wanted,
        offers.map(({ platform }) => platform),
      );
    });
    return [...new Set(chosen)];
  }

  /** Reads the configs of images whose platform the index does not say. */
  async #lookUp(
    offers: readonly Offer[],
    signal?: AbortSignal,
  ): Promise<readonly Offer[]> {
    const told: Offer[] = [];
    let lookedUp = 0;
    for (const { image, platform } of offers) {
      told.push({
        image,
        platform: platform === null && lookedUp++ < MAX_LOOKED_UP
          ? (await this.image(image, signal)).platform
          : platform,
      });
    }
    return told;
  }

  /** The one image for a platform; where none is asked for, as {@link choose} has it. */
  async one(
    platform: Platform | undefined,
    signal?: AbortSignal,
  ): Promise<Image> {
    return await this.image(await this.chooseOne(platform, signal), signal);
  }

  /** Which image {@link one} means, before its manifest is read. */
  async chooseOne(
    platform: Platform | undefined,
    signal?: AbortSignal,
  ): Promise<Descriptor> {
    const platforms = platform === undefined ? undefined : [platform];
    const [chosen] = await this.choose({ platforms }, signal);
    return chosen as Descriptor;
  }
}

/** An image, and what machine it is for; null where that is not known. */
interface Offer {
  readonly image: Descriptor;
  readonly platform: Platform | null;
}

function offerFor(
  wanted: Platform,
  offers: readonly Offer[],
): Offer | undefined {
  return offers.find(({ platform }) =>
    platform !== null && matchPlatform(wanted, platform)
  );
}

/** Skips malformed entries; if all are malformed, the error says what is wrong. */
function readMembers(
  bytes: Uint8Array,
  mediaType: string,
): readonly Descriptor[] {
  const read = readIndexEntries(bytes);
  return read === null || read.entries.length === 0
    ? parseIndex(bytes, mediaType).manifests
    : read.entries;
}

/** Reads what the name of a place's image stands for. @throws ManifestError and the source's errors */
export async function readFamily(
  source: ImageSource,
  signal?: AbortSignal,
): Promise<ImageFamily> {
  const descriptor = await source.image({ signal });
  const bytes = await source.bytes(descriptor, { signal });
  return new ImageFamily(source, { descriptor, bytes });
}
