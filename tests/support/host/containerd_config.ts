/** The part of containerd's configuration that tests choose. */
export interface ContainerdOptions {
  /** Snapshotters in other processes, by the socket they listen on. */
  readonly proxySnapshotters?: ReadonlyArray<{
    name: string;
    address: string;
    /** What containerd may rely on, such as `remap-ids` (1.7.24 and later). */
    capabilities?: readonly string[];
    /** What containerd 1.7 and later is told of it, such as `root`. */
    exports?: Readonly<Record<string, string>>;
  }>;
  /** Turns the Kubernetes interface on. */
  readonly cri?: {
    readonly snapshotter: string;
    readonly sandboxImage: string;
    /** Folder of `<host>/hosts.toml` files. */
    readonly registryConfigDir?: string;
    /** Another runc than the system's. */
    readonly runc?: string | undefined;
  };
  /** Folder with another containerd, its ctr and its shim. Default: the system's. */
  readonly binDir?: string;
  /** Default: `info`. `debug` tells of every call. */
  readonly logLevel?: "debug";
}

/** Where one containerd keeps everything. */
export interface ContainerdPaths {
  readonly root: string;
  readonly state: string;
  readonly address: string;
  readonly cniConfigDir: string;
  readonly opt: string;
}

const CNI_BIN_DIR = "/usr/lib/cni";

/**
 * The configuration file, version 2 (containerd 1.5 and later; 2.x reads it too).
 *
 * `restrict_oom_score_adj`: without CAP_SYS_RESOURCE, root may not lower oom_score_adj, and every
 * sandbox would fail with "can't get final child's PID". `netns_mounts_under_state_dir`: keeps the
 * network namespaces where the clean-up finds them.
 */
export function containerdConfig(
  paths: ContainerdPaths,
  options: ContainerdOptions,
): string {
  const { proxySnapshotters = [], cri } = options;
  const q = JSON.stringify; // a JSON string is a TOML basic string
  const disabled = ["aufs", "btrfs", "devmapper", "zfs", "blockfile"]
    .map((name) => `io.containerd.snapshotter.v1.${name}`)
    .concat(cri === undefined ? ["io.containerd.grpc.v1.cri"] : []);
  const lines = [
    "version = 2",
    `root = ${q(paths.root)}`,
    `state = ${q(paths.state)}`,
    `disabled_plugins = ${q(disabled)}`,
    "[debug]",
    `  level = ${q(options.logLevel ?? "info")}`,
    "[grpc]",
    `  address = ${q(paths.address)}`,
    "[ttrpc]",
    `  address = ${q(`${paths.address}.ttrpc`)}`,
    '[plugins."io.containerd.internal.v1.opt"]',
    `  path = ${q(paths.opt)}`,
    ...proxySnapshotters.flatMap(({ name, address, capabilities, exports }) => [
      `[proxy_plugins.${q(name)}]`,
      '  type = "snapshot"',
      `  address = ${q(address)}`,
      ...(capabilities ? [`  capabilities = ${q(capabilities)}`] : []),
      ...(exports ? [`  [proxy_plugins.${q(name)}.exports]`] : []),
      ...Object.entries(exports ?? {}).map(([key, value]) =>
        `    ${key} = ${q(value)}`
      ),
    ]),
  ];
  if (cri !== undefined) {
    const plugin = 'plugins."io.containerd.grpc.v1.cri"';
    const runtime = `${plugin}.containerd.runtimes.runc`;
    lines.push(
      `[${plugin}]`,
      `  sandbox_image = ${q(cri.sandboxImage)}`,
      "  disable_tcp_service = true",
      '  stream_server_address = "127.0.0.1"',
      '  stream_server_port = "0"',
      "  restrict_oom_score_adj = true",
      "  netns_mounts_under_state_dir = true",
      `[${plugin}.containerd]`,
      `  snapshotter = ${q(cri.snapshotter)}`,
      "  disable_snapshot_annotations = false",
      `[${runtime}]`,
      '  runtime_type = "io.containerd.runc.v2"',
      `[${runtime}.options]`,
      "  SystemdCgroup = false",
      ...(cri.runc === undefined ? [] : [`  BinaryName = ${q(cri.runc)}`]),
      `[${plugin}.cni]`,
      `  bin_dir = ${q(CNI_BIN_DIR)}`,
      `  conf_dir = ${q(paths.cniConfigDir)}`,
    );
    if (cri.registryConfigDir !== undefined) {
      lines.push(
        `[${plugin}.registry]`,
        `  config_path = ${q(cri.registryConfigDir)}`,
      );
    }
  }
  return lines.join("\n") + "\n";
}

/** A network of its own for sandboxes: a veth pair and addresses kept under `dataDir`. */
export function cniConfig(dataDir: string): string {
  const subnet = `10.213.${Math.floor(Math.random() * 256)}.0/24`;
  return JSON.stringify({
    cniVersion: "0.4.0",
    name: "soci-deno-test",
    plugins: [{
      type: "ptp",
      ipMasq: false,
      ipam: { type: "host-local", ranges: [[{ subnet }]], dataDir },
    }],
  });
}

/** A `hosts.toml` that lets containerd reach a test registry. */
export async function writeHostsToml(
  folder: string,
  host: string,
  options: { scheme: "http" | "https"; caPath?: string },
): Promise<void> {
  const { scheme, caPath } = options;
  const url = JSON.stringify(`${scheme}://${host}`);
  await Deno.mkdir(`${folder}/${host}`, { recursive: true });
  await Deno.writeTextFile(
    `${folder}/${host}/hosts.toml`,
    [
      `server = ${url}`,
      `[host.${url}]`,
      '  capabilities = ["pull", "resolve"]',
      ...(caPath === undefined ? [] : [`  ca = ${JSON.stringify(caPath)}`]),
      "",
    ].join("\n"),
  );
}
