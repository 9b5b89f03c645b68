import {
  type Descriptor,
  type Digest,
  isDigest,
  MEDIA,
} from "../../formats/oci/mod.ts";
import {
  decodePins,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
  orderFacts,
} from "../../formats/order/mod.ts";
import {
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  type SociIndex,
} from "../../formats/soci/mod.ts";

/** What else referrers are searched for while an index is: it comes with the same answer. */
export const BESIDE_TYPES: readonly string[] = [
  SOCI_MEDIA.companion,
  ORDER_MEDIA.artifact,
];
/** Load orders of one image that are kept; whoever may push can add more. */
const MAX_ORDERS = 64;

/** A load order that an image has, as a list or an index names it. None of it was read yet. */
export interface FoundOrder {
  /** Of its manifest. The size is 0 where whatever names it does not say. */
  readonly descriptor: Descriptor;
  /** Which workload of the image it is for. */
  readonly workload: string;
  /** As `os/architecture[/variant]`; empty where it is not said here. */
  readonly platform: string;
  /** Whether the image's digest covers it. Others can be added by anyone who may push. */
  readonly isPinned: boolean;
}

/** What an image has beside its index. */
export interface BesideIndex {
  /** Of the manifest of the index's companion, which carries its ztocs compressed. */
  readonly companion: Descriptor | null;
  /** In the order in which they are named. */
  readonly orders: readonly FoundOrder[];
}

/** Nothing beside. */
export const NOTHING_BESIDE: BesideIndex = { companion: null, orders: [] };

/** What an index itself names. @param isPinned whether the image's digest covers the index. */
export function namedBeside(
  { annotations = {} }: Pick<SociIndex, "annotations">,
  isPinned: boolean,
): BesideIndex {
  const companion = annotations[SOCI_ANNOTATION.companion];
  const pins = decodePins(annotations[ORDER_ANNOTATION.pins]);
  return {
    companion: isDigest(companion) ? manifestOf(companion) : null,
    orders: pins.map(({ workload, digest }) => ({
      descriptor: manifestOf(digest),
      workload,
      platform: "",
      isPinned,
    })),
  };
}

/** What a list of an image's referrers names beside the index of this digest. */
export function listedBeside(
  listed: readonly Descriptor[],
  index: Digest,
): BesideIndex {
  // Another index's companion carries other ztocs. Some lists leave annotations out.
  const companions = listed.filter((one) =>
    one.artifactType === SOCI_MEDIA.companion
  ).map((one) => ({
    descriptor: short(one),
    of: one.annotations?.[SOCI_ANNOTATION.companionOf],
  }));
  const companion = companions.find(({ of }) => of === index) ??
    companions.find(({ of }) => of === undefined);
  return {
    companion: companion?.descriptor ?? null,
    orders: listed.filter((one) => one.artifactType === ORDER_MEDIA.artifact)
      .slice(0, MAX_ORDERS).map((one) => ({
        descriptor: short(one),
        ...orderFacts(one.annotations),
        isPinned: false,
      })),
  };
}

function manifestOf(digest: Digest): Descriptor {
  return { mediaType: MEDIA.ociManifest, digest, size: 0 };
}

/** Without annotations: it is kept as long as the image is. */
function short({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}
