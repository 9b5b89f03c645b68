/** The ways to bring an image to a container that are measured beside each other. @module */
import type { DaemonStatus } from "../../../cmd/daemon.ts";
import { askStatus } from "../../../lib/host/handover/mod.ts";
import {
  type Containerd,
  ctrPull,
  leftovers,
  type Service,
  sociDenoCommand,
  startContainerd,
  startService,
  unixSocketAnswers,
} from "../../support/host/mod.ts";
import {
  newerContainerd,
  type NotHere,
  type SociPeer,
  sociPeer,
  sociRelease,
  startSociPeer,
} from "../../support/peer/mod.ts";
import { exists, run } from "../support.ts";
import type { Publication } from "./registry.ts";

/** A node that has come up, with empty folders. */
export interface Node {
  readonly containerd: Containerd;
  readonly snapshotter: string;
  /** Processes whose time and memory lazy loading costs; none for a full pull. */
  pids(): number[];
  /** Brings an image, as far as this way does before a container can be made. */
  pull(image: string): Promise<void>;
  /** What the daemon itself counts; null where it tells nothing. */
  figures(): Promise<unknown>;
}

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

const DAEMON_CONFIG = `[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;
const PEER_CONFIG = DAEMON_CONFIG;
const PEER_CONTENT = "/var/lib/soci-snapshotter-grpc/content";
const RELEASE_FOLDER = "/var/tmp/soci-deno-soci-v0.16.1";

const nothing = () => Promise.resolve(null);

const overlayfs: Contestant = {
  name: "overlayfs",
  title: "overlayfs, full pull",
  publication: "index",
  missing: nothing,
  async node(stack, caPath) {
    const containerd = stack.use(await startContainerd({ logLevel: "debug" }));
    return {
      containerd,
      snapshotter: "overlayfs",
      pids: () => [],
      pull: (image) => ctrPull(containerd, image, { caPath }),
      figures: nothing,
    };
  },
};

/** soci-deno, as configured beyond what all its ways share. */
function sociDeno(
  options: Pick<Contestant, "name" | "title" | "publication"> & {
    config: string;
  },
): Contestant {
  return {
    ...options,
    missing: nothing,
    async node(stack, caFile) {
      const folder = await temporaryFolder(stack);
      const address = `${folder}/soci.sock`;
      const config = `${DAEMON_CONFIG}${options.config}
[content_store]
containerd_address = "${folder}/containerd.sock"
`;
      await Deno.writeTextFile(`${folder}/config.toml`, config);
      const serve = sociDenoCommand(
        ...["serve", "--address", address, "--root", `${folder}/root`],
        ...["--config", `${folder}/config.toml`, "--tlscacert", caFile],
      );
      const daemon: Service = stack.use(
        await startService({
          ...serve,
          stopSignal: "SIGINT", // unmounts
          logFile: `${folder}/log`,
          ready: () => unixSocketAnswers(address),
        }),
      );
      const containerd = await withProxy(stack, address);
      await Deno.symlink(containerd.address, `${folder}/containerd.sock`);
      return {
        containerd,
        snapshotter: "soci",
        pids: () => [daemon.pid],
        pull: (image) => ourPull(containerd, caFile, image),
        async figures() {
          const status = await askStatus(`${folder}/root/control.sock`);
          const { layers: _, ...figures } = status as DaemonStatus;
          return figures;
        },
      };
    },
  };
}

/** `soci-deno pull`, which asks the snapshotter for each layer as Kubernetes does. */
async function ourPull(
  containerd: Containerd,
  caFile: string,
  image: string,
): Promise<void> {
  const { program, args } = sociDenoCommand(
    ...["pull", "--address", containerd.address],
    ...["--tlscacert", caFile, "--quiet", image],
  );
  await run(program, args);
}

/** A release of the existing daemon. */
function existing(
  options: Pick<Contestant, "name" | "title"> & {
    find(): Promise<SociPeer | NotHere>;
    /** Newer releases have no command that pulls, and need a newer containerd. */
    newer: boolean;
  },
): Contestant {
  return {
    ...options,
    publication: "existing",
    async missing() {
      const found = await options.find();
      return "reason" in found ? found.reason : null;
    },
    async node(stack, caFile) {
      // Artifacts lie in one place whatever --root is; kept, they would make this start warm.
      await Deno.remove(PEER_CONTENT, { recursive: true }).catch(() => {});
      const peer = await options.find() as SociPeer;
      const daemon = stack.use(
        await startSociPeer(peer, { caFile, config: PEER_CONFIG }),
      );
      const newer = options.newer ? await newerContainerd("2") : null;
      if (newer !== null && "reason" in newer) throw new Error(newer.reason);
      const containerd = await withProxy(stack, daemon.address, newer ?? {});
      return {
        containerd,
        snapshotter: "soci",
        pids: () =>
          leftovers(daemon.folder).processes
            .filter(({ command }) => command.includes("soci-snapshotter-grpc"))
            .map(({ pid }) => pid),
        async pull(image) {
          if (options.newer) await ourPull(containerd, caFile, image);
          else await daemon.soci(containerd, "image", "rpull", image);
        },
        figures: nothing,
      };
    },
  };
}

/** In the order they are measured in. */
export const CONTESTANTS: readonly Contestant[] = [
  overlayfs,
  sociDeno({
    name: "soci-deno",
    title: "soci-deno, nothing recorded",
    publication: "index",
    config: "",
  }),
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
];

function withProxy(
  stack: AsyncDisposableStack,
  address: string,
  { name = "soci", ...options }: { name?: string; binDir?: string } = {},
): Promise<Containerd> {
  const proxySnapshotters = [{ name, address }];
  return startContainerd({ ...options, proxySnapshotters, logLevel: "debug" })
    .then((it) => stack.use(it));
}

async function temporaryFolder(stack: AsyncDisposableStack): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  return folder;
}
