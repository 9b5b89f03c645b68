/** Nodes that bring images to containers, each with empty folders of its own. @module */
import type { DaemonStatus } from "../../../cmd/daemon_status.ts";
import { askStatus } from "../../../lib/host/control/mod.ts";
import {
  type Containerd,
  ctrPull,
  leftovers,
  sociDenoCommand,
  startContainerd,
  startService,
  unixSocketAnswers,
} from "../../support/host/mod.ts";
import {
  ctrRemote,
  newerContainerd,
  type SociPeer,
  type Stargz,
  startSociPeer,
  startStargz,
} from "../../support/peer/mod.ts";
import { run } from "../support.ts";

/** A node that has come up. */
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

/** A node with our daemon. */
export interface SociDenoNode extends Node {
  /** A command of ours against it. @throws Error */
  command(...args: string[]): Promise<string>;
}

/** Background fetching is off in all daemons: what is counted is what the program needed. */
const CONFIG = `[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;
const PEER_CONTENT = "/var/lib/soci-snapshotter-grpc/content";

const tellsNothing = () => Promise.resolve(null);

/**
 * containerd alone, which unpacks images. What is started ends with the stack.
 * @param options another containerd than the system's.
 */
export async function overlayNode(
  stack: AsyncDisposableStack,
  caPath: string,
  options: { binDir?: string } = {},
): Promise<Node> {
  const containerd = stack.use(
    await startContainerd({ ...options, logLevel: "debug" }),
  );
  return {
    containerd,
    snapshotter: "overlayfs",
    pids: () => [],
    async pull(image) {
      if (options.binDir === undefined) {
        await ctrPull(containerd, image, { caPath });
      } else {
        // Newer ones let containerd itself pull, which takes no authority of a command.
        await containerd.ctr(
          ...["images", "pull", "--local", "--tlscacert", caPath, image],
        );
      }
    },
    figures: tellsNothing,
  };
}

/**
 * soci-deno.
 * @param config what its configuration has beyond what all have.
 * @param prefix a command and arguments that start the daemon in turn.
 */
export async function sociDenoNode(
  stack: AsyncDisposableStack,
  caFile: string,
  config: string,
  prefix: readonly string[] = [],
): Promise<SociDenoNode> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const address = `${folder}/soci.sock`;
  const root = `${folder}/root`;
  await Deno.writeTextFile(
    `${folder}/config.toml`,
    `${CONFIG}${config}
[content_store]
containerd_address = "${folder}/containerd.sock"
`,
  );
  const serve = sociDenoCommand(
    ...["serve", "--address", address, "--root", root],
    ...["--config", `${folder}/config.toml`, "--tlscacert", caFile],
  );
  const [program = "", ...args] = [...prefix, serve.program, ...serve.args];
  const daemon = stack.use(
    await startService({
      ...{ program, args },
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
    pull: (image) => ourPull(containerd, caFile, image, root),
    async figures() {
      const status = await askStatus(`${root}/control.sock`);
      const { layers: _, ...figures } = status as DaemonStatus;
      return figures;
    },
    command(name, ...args) {
      const flags = [
        ...["--root", root, "--address", containerd.address],
        ...["--tlscacert", caFile],
      ];
      const command = sociDenoCommand(name!, ...flags, ...args);
      return run(command.program, command.args, { stderrToo: true });
    },
  };
}

/**
 * The existing daemon.
 * @param options.newer newer releases have no command that pulls, and need a newer containerd.
 */
export async function existingNode(
  stack: AsyncDisposableStack,
  caFile: string,
  peer: SociPeer,
  options: { newer: boolean; config?: string },
): Promise<Node> {
  // Artifacts lie in one place whatever --root is; kept, they would make this start warm.
  await Deno.remove(PEER_CONTENT, { recursive: true }).catch(() => {});
  const daemon = stack.use(
    await startSociPeer(peer, {
      ...{ caFile, config: `${CONFIG}${options.config ?? ""}` },
    }),
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
    figures: tellsNothing,
  };
}

/** The stargz snapshotter; it needs images that were converted for it. */
export async function stargzNode(
  stack: AsyncDisposableStack,
  caFile: string,
  programs: Stargz,
): Promise<Node> {
  const daemon = stack.use(await startStargz(programs, { caFile }));
  const containerd = await withProxy(stack, daemon.address);
  const snapshotter = "soci"; // as `withProxy` names it
  return {
    containerd,
    snapshotter,
    pids: () => [daemon.pid],
    pull: (image) =>
      ctrRemote(
        programs,
        containerd,
        ...["rpull", "--snapshotter", snapshotter],
        ...["--tlscacert", caFile, image],
      ),
    figures: tellsNothing,
  };
}

/** `soci-deno pull`, which asks the snapshotter for each layer as Kubernetes does. */
async function ourPull(
  containerd: Containerd,
  caFile: string,
  image: string,
  root?: string,
): Promise<void> {
  const { program, args } = sociDenoCommand(
    ...["pull", "--address", containerd.address],
    ...root === undefined ? [] : ["--root", root],
    ...["--tlscacert", caFile, "--quiet", image],
  );
  await run(program, args);
}

async function withProxy(
  stack: AsyncDisposableStack,
  address: string,
  options: { binDir?: string } = {},
): Promise<Containerd> {
  const proxySnapshotters = [{ name: "soci", address }];
  return stack.use(
    await startContainerd({ ...options, proxySnapshotters, logLevel: "debug" }),
  );
}
