/** The ways to bring an image to a container that are measured beside each other. @module */
import {
  type NotHere,
  type SociPeer,
  sociPeer,
  sociRelease,
  type Stargz,
  stargz,
} from "../../support/peer/mod.ts";
import { exists } from "../support.ts";
import {
  existingNode,
  type Node,
  overlayNode,
  sociDenoNode,
  stargzNode,
} from "./nodes.ts";
import type { Publication } from "./registry.ts";

/** One way. */
export interface Contestant {
  /** On the command line. */
  readonly name: string;
  /** In tables. */
  readonly title: string;
  readonly publication: Publication;
  /** Why it cannot be measured here; null when it can. */
  missing(): Promise<string | null>;
  /** Starts a node; what it starts ends with the stack. */
  node(stack: AsyncDisposableStack, caFile: string): Promise<Node>;
}

const RELEASE_FOLDER = "/var/tmp/soci-deno-soci-v0.16.1";

/** As for releases of the existing tools. */
const BUILD = Deno.env.get("SOCI_DENO_TEST_RELEASE") === "build";

const nothing = () => Promise.resolve(null);

const overlayfs: Contestant = {
  name: "overlayfs",
  title: "overlayfs, full pull",
  publication: "index",
  missing: nothing,
  node: (stack, caFile) => overlayNode(stack, caFile),
};

/**
 * soci-deno, with what was published for it.
 * @param config beyond what all its ways share.
 * @param suffix of its name; default: the publication's.
 */
function sociDeno(
  publication: Publication,
  title: string,
  config = "",
  suffix = publication === "index" ? "" : `-${publication}`,
): Contestant {
  return {
    name: `soci-deno${suffix}`,
    title: `soci-deno, ${title}`,
    publication,
    missing: nothing,
    node: (stack, caFile) => sociDenoNode(stack, caFile, config),
  };
}

/** A release of the existing daemon. */
function existing(
  options: Pick<Contestant, "name" | "title"> & {
    find(): Promise<SociPeer | NotHere>;
    newer: boolean;
  },
): Contestant {
  const { name, title, find, newer } = options;
  return {
    ...{ name, title, publication: "existing" },
    async missing() {
      const found = await find();
      return "reason" in found ? found.reason : null;
    },
    node: async (stack, caFile) =>
      existingNode(stack, caFile, await find() as SociPeer, { newer }),
  };
}

/** Packs that only a referrer names are used where somebody says so. */
const UNPINNED = `[load_order]
unpinned = true
`;

/** Images are taken whole, whether they have an index or not. */
const EAGER = `[eager]
images = ["**"]
`;

/** Each start is recorded as it is. */
const RECORDING = `[recording]
images = ["**"]
`;

/** The way that records, for what recording costs. */
export const RECORDED_START = "soci-deno-recording";
/** The same without it. */
export const PLAIN_START = "soci-deno";

/** In the order they are measured in. */
export const CONTESTANTS: readonly Contestant[] = [
  overlayfs,
  sociDeno("index", "nothing recorded"),
  sociDeno(
    "index",
    "nothing recorded, and recorded as it starts",
    RECORDING,
    "-recording",
  ),
  sociDeno("index", "taken whole", EAGER, "-eager"),
  sociDeno("order", "recorded order"),
  sociDeno("pack", "start pack", UNPINNED),
  sociDeno("pinned", "start pack, pinned by the image"),
  sociDeno("wrong", "start pack of another workload", UNPINNED),
  existing({
    name: "existing",
    title: "SOCI 0.4.1 (Debian)",
    find: sociPeer,
    newer: false,
  }),
  existing({
    name: "existing-head",
    title: "SOCI 0.16.1",
    find: async () =>
      exists(`${RELEASE_FOLDER}/soci-snapshotter-grpc`)
        ? await sociRelease()
        : { reason: "`deno task upstream` builds it" },
    newer: true,
  }),
  {
    name: "stargz",
    title: "stargz 0.19.1, image converted and optimized",
    publication: "stargz",
    async missing() {
      const found = await stargz({ build: BUILD });
      return "reason" in found ? found.reason : null;
    },
    node: async (stack, caFile) =>
      stargzNode(stack, caFile, await stargz({ build: BUILD }) as Stargz),
  },
];
