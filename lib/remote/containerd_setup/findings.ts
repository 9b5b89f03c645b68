import { type ContainerdConfig, tableIn } from "./config.ts";

/** What is wrong with containerd's configuration. */
export interface SetupFinding {
  /** `fail`: images are not lazy, or a part of Kubernetes does not work. `warn`: less than that. */
  readonly level: "fail" | "warn";
  /** What is found, as one line. */
  readonly text: string;
  /** What to do about it, as one line. */
  readonly fix: string;
}

/** What the configuration should say. */
export interface ExpectedSetup {
  /** containerd's release, such as `1.7.24`; null: as the file looks. */
  readonly release: string | null;
  /** The snapshotter's name there. */
  readonly snapshotter: string;
  /** The path that the daemon listens on. */
  readonly socket: string;
  /** The daemon's root. */
  readonly root: string;
  /** Whether Kubernetes uses this containerd, or another client of its CRI service. */
  readonly cri: boolean;
}

/** Names of the plugin that has the images of CRI, by the format of the file. */
const CRI = {
  "1": "cri",
  "2": "io.containerd.grpc.v1.cri",
  "3": "io.containerd.cri.v1.images",
} as const;
const TRANSFER = "io.containerd.transfer.v1.local";

/** What is wrong, in the order in which it should be mended; empty when all is well. */
export function checkSetup(
  config: ContainerdConfig,
  expected: ExpectedSetup,
): SetupFinding[] {
  const release = releaseOf(config, expected.release);
  return [
    ...formatFindings(config, release),
    ...proxyFindings(config, expected, release),
    ...(expected.cri ? criFindings(config, expected, release) : []),
    ...(release.major >= 2 ? transferFindings(config, expected) : []),
  ];
}

interface Release {
  readonly major: number;
  readonly minor: number;
}

function releaseOf(config: ContainerdConfig, release: string | null): Release {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(release ?? "") ?? [];
  if (major !== undefined) {
    return { major: Number(major), minor: Number(minor) };
  }
  return (config.version ?? 0) >= 3
    ? { major: 2, minor: 1 }
    : { major: 1, minor: 7 };
}

function* formatFindings(
  { path, version, plugins }: ContainerdConfig,
  { major }: Release,
): Generator<SetupFinding> {
  if (major < 2 && (version ?? 1) < 2) {
    yield {
      level: "fail",
      text:
        `${path} has no \`version = 2\`: this containerd ignores its \`plugins\` tables and says nothing`,
      fix: "put `version = 2` on the first line",
    };
  }
  if (major < 2 && (version ?? 0) > 2) {
    yield {
      level: "fail",
      text:
        `${path} says \`version = ${version}\`, and this containerd reads 2 at the most`,
      fix: "put `version = 2` on the first line, and the tables of 1.x below",
    };
  }
  const [wrong, right] = major >= 2 ? [CRI[2], CRI[3]] : [CRI[3], CRI[2]];
  if (wrong in plugins && !(right in plugins)) {
    yield {
      level: "fail",
      text: `${path} names the plugin "${wrong}" of containerd ${
        major >= 2 ? "1.x" : "2.x"
      }, and this is ${major}.x: what is set there has no effect`,
      fix: major >= 2
        ? `write [plugins."${right}"], and \`version = 3\` on the first line`
        : `write [plugins."${right}".containerd]`,
    };
  }
}

function* proxyFindings(
  { path, proxyPlugins }: ContainerdConfig,
  { snapshotter, socket, root }: ExpectedSetup,
  { major, minor }: Release,
): Generator<SetupFinding> {
  const table = `[proxy_plugins.${snapshotter}]`;
  const entry = tableIn(proxyPlugins, snapshotter);
  if (!(snapshotter in proxyPlugins)) {
    yield {
      level: "fail",
      text: `${path} has no ${table}: containerd knows no such snapshotter`,
      fix: `add ${table} with type = "snapshot" and address = "${socket}"`,
    };
    return;
  }
  if (entry.type !== "snapshot") {
    yield {
      level: "fail",
      text: `${table} in ${path} is not of type "snapshot"`,
      fix: 'put type = "snapshot" there',
    };
  }
  const address = String(entry.address ?? "").replace(/^unix:\/\//, "");
  if (address !== socket) {
    yield {
      level: "fail",
      text:
        `${table} in ${path} names the socket "${address}", and the daemon listens on ${socket}`,
      fix:
        `put address = "${socket}" there, or start the daemon with --address ${
          address || "SOCKET"
        }`,
    };
  }
  if (major < 2 && minor < 7) return; // it reads no exports
  const exported = tableIn(entry, "exports").root;
  if (exported === root) return;
  yield {
    level: major >= 2 ? "fail" : "warn",
    text: exported === undefined
      ? `${table} in ${path} has no exports.root: \`crictl imagefsinfo\` names a folder that does not exist, and the kubelet cannot measure images`
      : `exports.root of ${table} in ${path} is ${exported}, and the daemon's root is ${root}`,
    fix: `put root = "${root}" into [proxy_plugins.${snapshotter}.exports]`,
  };
}

function* criFindings(
  { path, version, plugins, proxyPlugins }: ContainerdConfig,
  { snapshotter }: ExpectedSetup,
  { major }: Release,
): Generator<SetupFinding> {
  const old = (version ?? 1) < 2 && CRI[1] in plugins;
  const name = major >= 2 ? CRI[3] : old ? CRI[1] : CRI[2];
  const [table, shown] = major >= 2
    ? [tableIn(plugins, name), `[plugins."${name}"]`]
    : [
      tableIn(tableIn(plugins, name), "containerd"),
      `[plugins."${name}".containerd]`,
    ];
  if (table.snapshotter !== snapshotter) {
    yield {
      level: "fail",
      text: table.snapshotter === undefined
        ? `${path} names no snapshotter in ${shown}: Kubernetes goes on with overlayfs, or its pulls fail`
        : `${shown} in ${path} names the snapshotter "${table.snapshotter}"`,
      fix: `put snapshotter = "${snapshotter}" there`,
    };
  }
  const { enable_remote_snapshot_annotations: exported } = tableIn(
    tableIn(proxyPlugins, snapshotter),
    "exports",
  );
  const told = table.disable_snapshot_annotations === false ||
    (major >= 2 && String(exported) === "true");
  if (told) return;
  yield {
    level: "fail",
    text:
      `${path} does not have containerd say which image a layer belongs to: no layer of Kubernetes is lazy`,
    fix: major >= 2
      ? `put enable_remote_snapshot_annotations = "true" into [proxy_plugins.${snapshotter}.exports]`
      : `put disable_snapshot_annotations = false into ${shown}`,
  };
}

function* transferFindings(
  { path, plugins }: ContainerdConfig,
  { snapshotter }: ExpectedSetup,
): Generator<SetupFinding> {
  const { unpack_config } = tableIn(plugins, TRANSFER);
  const entries: unknown[] = Array.isArray(unpack_config) ? unpack_config : [];
  const named = entries.some((entry) =>
    (entry as Readonly<Record<string, unknown>> | null)?.snapshotter ===
      snapshotter
  );
  if (named) return;
  const byTransfer = tableIn(plugins, CRI[3]).disable_snapshot_annotations !==
    false;
  yield {
    level: byTransfer ? "fail" : "warn",
    text:
      `${path} has no unpack_config for the snapshotter "${snapshotter}": pulls by the transfer service, such as \`ctr images pull\`, fail or are not lazy`,
    fix: `add [[plugins."${TRANSFER}".unpack_config]] with platform = "linux/${
      Deno.build.arch === "aarch64" ? "arm64" : "amd64"
    }", snapshotter = "${snapshotter}" and differ = "walking"`,
  };
}
