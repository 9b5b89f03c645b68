/** The ways to bring an image without an index to a container. @module */
import { newerContainerd, sociRelease } from "../../support/peer/mod.ts";
import { exists } from "../support.ts";
import {
  existingNode,
  type Node,
  overlayNode,
  sociDenoNode,
} from "../coldstart/nodes.ts";
import { WAY } from "./samples.ts";

/** One way. */
export interface Way {
  /** On the command line. */
  readonly name: string;
  /** In tables. */
  readonly title: string;
  /** Why it cannot be measured here; null when it can. */
  missing(): Promise<string | null>;
  /** Starts a node; what it starts ends with the stack. */
  node(stack: AsyncDisposableStack, caFile: string): Promise<Node>;
}

const RELEASE_FOLDER = "/var/tmp/soci-deno-soci-v0.16.1";

const UNINDEXED = `[eager]
unindexed = ["**"]
`;
/** Images whole although they have an index. */
export const INDEXED = `[eager]
images = ["**"]
`;

const PARALLEL = `[pull_modes.parallel_pull_unpack]
enable = true
`;

const existingsConfig = (containerd: string) =>
  `${PARALLEL}discard_unpacked_layers = true
[content_store]
containerd_address = ${JSON.stringify(containerd)}
`;

const nothing = () => Promise.resolve(null);

/** In the order they are measured in. */
export const WAYS: readonly Way[] = [
  {
    ...{ name: WAY.overlay, title: "containerd, overlayfs", missing: nothing },
    async node(stack, caFile) {
      const newer = await newerContainerd("2");
      return overlayNode(stack, caFile, "binDir" in newer ? newer : {});
    },
  },
  {
    name: WAY.existing,
    title: "SOCI 0.16.1, parallel pull and unpack, blobs discarded",
    missing: () =>
      Promise.resolve(
        exists(`${RELEASE_FOLDER}/soci-snapshotter-grpc`)
          ? null
          : "`deno task upstream` builds it",
      ),
    async node(stack, caFile) {
      // It asks containerd, whose address is known when the daemon runs, for manifests.
      const folder = await Deno.makeTempDir({ prefix: "soci-deno-peer-way-" });
      stack.defer(() => Deno.remove(folder, { recursive: true }));
      const socket = `${folder}/containerd.sock`;
      const node = await existingNode(stack, caFile, await sociRelease(), {
        ...{ newer: true, config: existingsConfig(socket) },
      });
      await Deno.symlink(node.containerd.address, socket);
      return {
        ...node,
        // Its first Prepare reads the manifest there, and our pull may write it beside.
        async pull(image) {
          await node.containerd.ctr(
            ...["content", "fetch", "--metadata-only", "--tlscacert", caFile],
            image,
          );
          await node.pull(image);
        },
      };
    },
  },
  {
    ...{ name: WAY.ours, title: "soci-deno, [eager]", missing: nothing },
    node: (stack, caFile) => sociDenoNode(stack, caFile, UNINDEXED),
  },
  {
    name: WAY.kept,
    title: "soci-deno, parallel_pull_unpack, blobs kept",
    missing: nothing,
    node: (stack, caFile) => sociDenoNode(stack, caFile, PARALLEL),
  },
];
