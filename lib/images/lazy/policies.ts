import { availableParallelism } from "node:os";
import {
  type IndexedImage,
  isImagePolicy,
  POLICY_LABEL,
  ztocOf,
} from "../../remote/image/mod.ts";
import type { Reference, Repository } from "../../remote/registry/mod.ts";
import { SOCI_ANNOTATION } from "../../formats/soci/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  decide,
  type Decided,
  policyOf,
  type PolicyRules,
  smallLayerBytes,
} from "../policy/mod.ts";

const log = logger("images");

/** A policy that somebody has named. */
type Said = string | null;

/** Decisions that are remembered, to be shown. */
const MOST_DECISIONS = 1024;

/** How an image is taken, and why. */
export interface PolicyDecision extends Decided {
  /** Its name, as it was asked for. */
  readonly image: string;
  /** Of its manifest. */
  readonly manifest: string;
}

/** Takes images as their policies say. */
export class ImagePolicies {
  readonly #rules: PolicyRules | null;
  readonly #bytesPerMs: (host: string) => number;
  readonly #ofPod: (reference: Reference) => string | null;
  /** By what the pod and the snapshot's label says. What was decided of an image holds for all its layers. */
  readonly #taken = new WeakMap<IndexedImage, Map<string, IndexedImage>>();
  readonly #decisionOf = new WeakMap<IndexedImage, PolicyDecision>();
  readonly #decisions = new Map<string, PolicyDecision>();

  /**
   * Nothing is decided yet.
   * @param rules null: every image is taken by its index.
   * @param bytesPerMs how fast a host gives layers; 0 while unknown.
   * @param ofPod what the pod says whose image is pulled just now. Default: nothing.
   */
  constructor(
    rules: PolicyRules | null,
    bytesPerMs: (host: string) => number,
    ofPod: (reference: Reference) => string | null = () => null,
  ) {
    this.#rules = rules;
    this.#bytesPerMs = bytesPerMs;
    this.#ofPod = ofPod;
  }

  /** The image as its policy has it: without its index where it is taken whole. @param labels of the snapshot. */
  take(
    image: IndexedImage,
    labels: Readonly<Record<string, string>>,
  ): IndexedImage {
    const rules = this.#rules;
    if (rules === null) return image;
    const [pod, label] = [this.#ofPod(image.reference), labels[POLICY_LABEL]]
      .map((said) => isImagePolicy(said) ? said : null) as [Said, Said];
    return this.#taken.getOrInsertComputed(image, () => new Map())
      .getOrInsertComputed(
        `${pod ?? ""} ${label ?? ""}`,
        () => this.#decide(rules, image, { pod, label }),
      );
  }

  #decide(
    rules: PolicyRules,
    image: IndexedImage,
    { pod, label }: { readonly pod: Said; readonly label: Said },
  ): IndexedImage {
    const { reference, descriptor, layers, policy, roundTripMs } = image;
    const line = {
      roundTripMs,
      bytesPerMs: this.#bytesPerMs(reference.host),
      cores: availableParallelism(),
    };
    const decided = decide(rules, {
      repository: reference,
      ...{ podAnnotation: pod, snapshotLabel: label },
      imageLabel: policy,
      layers: layers.map((layer) => layer.descriptor.size),
      ztocs: ztocBytes(image),
    }, line);
    const decision: PolicyDecision = {
      ...decided,
      image: reference.toString(),
      manifest: descriptor.digest,
    };
    const taken = decided.taken === "whole"
      ? withoutIndex(image)
      : decided.costs !== null
      ? withoutSmallLayers(image, smallLayerBytes(line))
      : { ...image };
    this.#decisionOf.set(taken, decision);
    if (decided.from !== "default") this.#tell(decision);
    return taken;
  }

  #tell(decision: PolicyDecision): void {
    const key = `${decision.image}@${decision.manifest}`;
    this.#decisions.delete(key);
    this.#decisions.set(key, decision);
    const oldest = this.#decisions.keys().next();
    if (this.#decisions.size > MOST_DECISIONS && !oldest.done) {
      this.#decisions.delete(oldest.value);
    }
    const { costs, ...said } = decision;
    log.info("image is taken by its policy", { ...said, ...costs });
  }

  /** Whether an image that `take` gave is taken whole. */
  isWhole(image: IndexedImage): boolean {
    return this.#decisionOf.get(image)?.taken === "whole";
  }

  /** Whether the rest of an image that `take` gave follows as soon as no reader waits. */
  isCompleted(image: IndexedImage): boolean {
    return this.#decisionOf.get(image)?.policy === "complete";
  }

  /** The same of an image that an earlier daemon was asked for, by its name and its snapshot's labels. */
  completes(
    repository: Repository,
    labels: Readonly<Record<string, string>>,
  ): boolean {
    return this.#rules !== null && policyOf(this.#rules, {
          repository,
          snapshotLabel: labels[POLICY_LABEL] ?? null,
          imageLabel: null,
          sizeBytes: Infinity,
        }).policy === "complete";
  }

  /** What was decided since the daemon's start, but by default; the oldest first. */
  decisions(): PolicyDecision[] {
    return [...this.#decisions.values()];
  }
}

/** Of all ztocs of an image's index; null where it has none. */
function ztocBytes(image: IndexedImage): number | null {
  if (image.index === null) return null;
  const digests = new Set(
    image.layers.map(({ descriptor }) => descriptor.digest),
  );
  return [...digests].reduce(
    (sum, digest) => sum + (ztocOf(image, digest)?.size ?? 0),
    0,
  );
}

/** An image whose index is not used. */
export function withoutIndex(image: IndexedImage): IndexedImage {
  return {
    ...image,
    index: null,
    companion: null,
    compressedZtocs: Promise.resolve(new Map()),
    orders: [],
  };
}

/** The image without the ztocs of layers that are not worth a mount. */
export function withoutSmallLayers(
  image: IndexedImage,
  minBytes: number,
): IndexedImage {
  if (image.index === null || minBytes <= 0) return image;
  const small = new Set<string | undefined>(
    image.layers.filter(({ descriptor }) => descriptor.size < minBytes)
      .map(({ descriptor }) => descriptor.digest),
  );
  const { layerDigest, zstdLayerDigest } = SOCI_ANNOTATION;
  const layers = image.index.index.layers.filter(({ annotations }) =>
    !small.has(annotations?.[layerDigest]) &&
    !small.has(annotations?.[zstdLayerDigest])
  );
  return {
    ...image,
    index: { ...image.index, index: { ...image.index.index, layers } },
  };
}
