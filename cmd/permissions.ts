/**
 * What each command may do: the one table of permissions. `deno.json`'s sets and the table in `docs/security.md`
 * are made from it (`deno task permissions`); `launch.ts` gives a command the exact lists of its command line.
 * @module
 */
import { resolve } from "node:path";
import { hostsOf, hostWithPort, withPorts } from "../lib/remote/network/mod.ts";
import {
  BASES,
  CONTAINERD_PROGRAMS,
  DEFAULT_PROGRAM,
  treeRoot,
  VENDOR_UNITS,
} from "./install/places.ts";
import {
  controlSockets,
  DAEMON_READS,
  DAEMON_RUNS,
  DAEMON_WRITES,
  daemonNet,
  MOUNT_READS,
  MOUNT_RUNS,
  MOUNT_WRITES,
} from "./daemon_needs.ts";
import { MAIN_WORKLOAD, recordingFile } from "./recording_file.ts";
import { DEFAULT_ROOT, mountRoot as rootOfMount } from "./root.ts";
import {
  type Asks,
  CERTIFICATES,
  DOCKER,
  DOCKER_HELPERS,
  FIRST_IMAGE,
  hostFiles,
  IMAGES,
  namedHosts,
  RECORDED_IMAGE,
} from "./registry_needs.ts";
import type { Computed, Line, Part } from "./grants.ts";
import { configPath } from "./network_hosts.ts";
import { LAYER_THREADS, type ThreadName } from "./threads.ts";
import { PROXY_VARIABLES } from "./loopback.ts";

/** What a command may do, and where it runs. */
export interface Needs {
  readonly parts: readonly Part[];
  /**
   * `worker`: in a Worker that has the exact lists of its command line, while the process itself has given up all
   * permissions. `process`: in the process, which gives up the kinds that are not named. A global permission cannot
   * be narrowed, so there the lists bind only where the process was started with them.
   */
  readonly runs: "worker" | "process";
  /** Its network where the configuration says which hosts may be asked; absent: Unix sockets alone. */
  readonly near?: (line: Line, hosts: readonly string[]) => readonly string[];
  /** Signals that do not end it before it says so itself. */
  readonly outlives?: readonly Deno.Signal[];
  /** Its root, if that is not the daemon's. @throws UsageError */
  readonly root?: (line: Line) => string;
  /** Workers that the process starts when a command in a Worker asks for them. */
  readonly threads?: readonly ThreadName[];
  /** Images whose registries the fetch Worker asks, with the mirrors of `--hosts-dir` and whatever these lead to. */
  readonly asks?: Asks;
}

/** Paths at which libc may lie; the one that is there is used. */
const LIBC = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

const computed = (
  says: string,
  of: (line: Line) => readonly (string | undefined)[],
): Computed => ({
  says,
  of: (line) => of(line).filter((name) => name !== undefined),
});

/** A file that a flag names. */
const file = (...flags: string[]) =>
  computed(
    flags.map((flag) => `--${flag}`).join(", "),
    (line) => flags.flatMap((flag) => line.values(flag)),
  );

const DEBUG: Part = { env: ["SOCI_DENO_DEBUG"] };
const FFI: Part = { ffi: LIBC };
/** What the library that draws progress reads. */
const TERMINAL: Part = { env: ["TERM", "TERM_PROGRAM", "TMUX"] };

const ROOT = computed("the root", (line) => [line.root()]);
const root: Part = {
  read: ROOT,
  write: ROOT,
  env: ["SOCI_SNAPSHOTTER_ROOT"],
};

const CONTROL = computed("the daemon's socket", controlSockets);
/** Deno asks for all three where a program connects to a Unix socket. */
const control: Part = {
  read: CONTROL,
  write: CONTROL,
  net: computed(
    "the daemon's socket",
    (line) => controlSockets(line).map((path) => `unix:${path}`),
  ),
  env: ["SOCI_SNAPSHOTTER_ROOT"],
};

/** None where the address is no path: the command tells. */
const containerdSocket = (line: Line): string[] => {
  const address = line.value("address") ?? line.env("CONTAINERD_ADDRESS") ??
    "/run/containerd/containerd.sock";
  const path = address.replace(/^unix:\/\//, "");
  return /^[a-z]+:\/\//.test(path) ? [] : [resolve(path)];
};
const SOCKET = computed(
  "containerd's socket",
  containerdSocket,
);
const containerd: Part = {
  read: SOCKET,
  write: SOCKET,
  net: computed(
    "containerd's socket",
    (line) => containerdSocket(line).map((path) => `unix:${path}`),
  ),
};
/** What gRPC reads where it is loaded. */
export const GRPC_VARIABLES: readonly string[] = [
  ...["GRPC_*", "grpc_proxy", "https_proxy", "http_proxy"],
  ...["no_grpc_proxy", "no_proxy"],
];
const GRPC: Part = { env: GRPC_VARIABLES };
/** What a session reads, whether or not it then talks to containerd. */
const names: Part = { env: ["CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE"] };
/** The same, which snapshotter is meant, and what gRPC reads. */
const session: Part = {
  env: [
    ...["CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE", "CONTAINERD_SNAPSHOTTER"],
    ...GRPC_VARIABLES,
  ],
};

/** The folder of artifacts and what is in containerd: what the index tools share. */
const store: readonly Part[] = [
  ...[DEBUG, root, names, GRPC, containerd],
  { env: ["SOURCE_DATE_EPOCH"] },
];

const PROXY: Part = { env: PROXY_VARIABLES };
/**
 * The login and the certificates of a registry. The fetch Worker has the network for it: a command with these is
 * made by `asking`.
 */
const registry: readonly Part[] = [
  ...[DEBUG, PROXY],
  {
    read: DOCKER,
    env: ["DOCKER_CONFIG", "HOME"],
    run: DOCKER_HELPERS,
  },
  { read: CERTIFICATES },
  { read: hostFiles },
];

/** Where a build notes what it made, if the root is not the user's. */
const NOTES = computed(
  "~/.local/state/soci-deno",
  (line) => [
    line.env("HOME") && `${line.env("HOME")}/.local/state/soci-deno`,
  ],
);

const withDrafts = (path: string, line: Line) => {
  const name = path.replace(/(?<=.)\/+$/, "");
  const draft = `${name}${line.draftSuffix}`;
  return [name, draft, `${draft}.old`];
};
/** A file that is written beside its place and then renamed; Deno asks for both kinds. */
const output = (says: string, of: (line: Line) => string | undefined): Part => {
  const list = computed(says, (line) => {
    const path = of(line);
    return path === undefined ? [] : withDrafts(path, line);
  });
  return { read: list, write: list };
};

const worker = (...parts: (Part | readonly Part[])[]): Needs => ({
  parts: [DEBUG, ...parts.flat()],
  runs: "worker",
});

/** Builds ztocs, in Workers that have nothing at all. */
const building = (needs: Needs): Needs => ({
  ...needs,
  threads: [...needs.threads ?? [], "indexer"],
});

/**
 * Asks registries, by a Worker that has the network and nothing else. Those that the command line names it may ask
 * itself, too: what they lead to is known to that Worker alone.
 */
const asking = (asks: Asks, needs: Needs): Needs => ({
  ...needs,
  parts: [...needs.parts, {
    net: computed(
      `the registry of ${asks.says}; hosts that --hosts-dir's files name`,
      (line) => withPorts(hostsOf(namedHosts(asks, line))),
    ),
    env: ["SOCI_SNAPSHOTTER_CONFIG"],
  }],
  asks,
  threads: [...needs.threads ?? [], "fetcher"],
});

/** Folders that an installation writes to, in the tree that `--root` names. */
const INSTALLED = computed(
  "/etc/systemd, /etc/soci-snapshotter-grpc, /etc/containerd, /var/lib/soci-deno",
  (line) => BASES.map((path) => `${treeRoot(line.value("root"))}${path}`),
);
const installed: Part = { read: INSTALLED, write: INSTALLED };
const PURGED = computed(
  "the daemon's state, with --purge",
  (line) =>
    line.has("purge") ? [`${treeRoot(line.value("root"))}${DEFAULT_ROOT}`] : [],
);
const purged: Part = { read: PURGED, write: PURGED };

const list = worker(store);
const standalone = (line: Line) => line.has("standalone");

/** What `debug snapshot` writes where nothing else is said. */
export const DEBUG_FILE = "soci-deno-debug.json";

/** Where `record` looks whether the workload is ready: hosts with their ports. */
const READY_SIGNS = computed("--until-port, --until-http", (line) => [
  ...line.values("until-port").map((port) => `127.0.0.1:${port}`),
  ...line.values("until-http").flatMap((text) => URL.parse(text) ?? [])
    .map(hostWithPort),
]);

function recordingOf(line: Line): string | undefined {
  const [image] = line.positionals;
  const workload = line.value("workload") ?? MAIN_WORKLOAD;
  return line.value("output") ??
    (image === undefined ? undefined : recordingFile(image, workload));
}

/** Every command by its words, as `mod.ts` names it. */
export const PERMISSIONS: Readonly<Record<string, Needs>> = {
  serve: {
    runs: "worker",
    threads: LAYER_THREADS,
    near: daemonNet,
    outlives: ["SIGHUP"],
    parts: [DEBUG, registry, FFI, GRPC, {
      read: DAEMON_READS,
      write: DAEMON_WRITES,
      net: { all: "registries, containerd, its own socket" },
      run: DAEMON_RUNS,
      env: [
        ...["SOCI_SNAPSHOTTER_*", "KUBECONFIG"],
        ...["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
        ...["FDSTORE", "LISTEN_*", "NOTIFY_SOCKET", "WATCHDOG_*"],
      ],
    }].flat(),
  },
  status: worker(control),
  stop: worker(control, root, FFI),
  "debug snapshot": worker(session, containerd, control, root, FFI, {
    read: computed("the daemon's and containerd's configuration", (line) => [
      configPath(line),
      ...["/etc/containerd", line.value("containerd-config")],
    ]),
    env: ["SOCI_SNAPSHOTTER_ADDRESS", "SOCI_SNAPSHOTTER_CONFIG"],
  }, output("--output", (line) => line.value("output") ?? DEBUG_FILE)),
  "debug trace": worker(control, FFI),
  doctor: asking(
    IMAGES,
    worker(registry, session, containerd, control, FFI, {
      read: computed(
        "containerd's configuration, the daemon's table",
        (line) => [
          ...["/etc/containerd", line.value("containerd-config")],
          `${line.root()}/snapshotter/metadata.db`,
        ],
      ),
      env: ["SOCI_SNAPSHOTTER_ADDRESS"],
    }),
  ),
  adopt: worker(root, FFI, session, containerd),
  gc: worker(root, FFI),
  "build-index": building(asking(
    IMAGES,
    worker(registry, store, TERMINAL, {
      read: file("prefetch-files-json", "load-order"),
    }, {
      read: computed(
        "--from",
        (line) =>
          line.values("from").filter((from) =>
            from !== "registry" && from !== "containerd"
          ),
      ),
    }, { read: NOTES, write: NOTES }),
  )),
  create: building(
    worker(store, TERMINAL, { read: file("prefetch-files-json") }),
  ),
  convert: building(worker(
    TERMINAL,
    ...[names, GRPC, { read: file("prefetch-files-json", "load-order") }],
    {
      read: computed(
        "INPUT, with --standalone",
        (line) => standalone(line) ? line.positionals.slice(0, 1) : [],
      ),
    },
    output(
      "OUTPUT, with --standalone",
      (line) => standalone(line) ? line.positionals[1] : undefined,
    ),
    ...store.map(unless(standalone, "without --standalone")),
  )),
  push: asking(IMAGES, worker(registry, store)),
  copy: asking(IMAGES, worker(registry, names, TERMINAL)),
  inspect: asking(IMAGES, worker(registry, names, { read: file("config") })),
  "index list": list,
  "index info": list,
  "index remove": list,
  "ztoc list": list,
  "ztoc info": list,
  "ztoc get-file": worker(
    store,
    output("--output", (line) => line.value("output")),
  ),
  "prefetch list": list,
  "prefetch info": list,
  "rebuild-db": list,
  pull: asking(
    IMAGES,
    worker(registry, session, containerd, control, TERMINAL),
  ),
  "content fetch": asking(
    IMAGES,
    worker(registry, session, containerd, TERMINAL),
  ),
  record: asking(
    FIRST_IMAGE,
    worker(registry, session, containerd, control, FFI, {
      run: ["ctr"],
      net: READY_SIGNS,
      write: computed("--output", (line) => [recordingOf(line)]),
    }),
  ),
  "order show": asking(
    RECORDED_IMAGE,
    worker(registry, {
      read: computed("RECORDING", (line) => line.positionals),
      write: file("svg"),
    }),
  ),
  "order merge": worker({
    read: computed("RECORDINGs", (line) => line.positionals),
    write: file("output"),
  }),
  "order push": asking(
    FIRST_IMAGE,
    worker(registry, {
      read: computed("RECORDINGs", (line) => line.positionals.slice(1)),
    }, {
      read: computed(
        "the daemon's recordings, with --learned",
        (line) => line.has("learned") ? [`${line.root()}/recordings`] : [],
      ),
      env: ["SOCI_SNAPSHOTTER_ROOT"],
    }),
  ),
  "order list": asking(FIRST_IMAGE, worker(registry)),
  "order remove": asking(FIRST_IMAGE, worker(registry)),
  mount: {
    runs: "worker",
    threads: LAYER_THREADS,
    root: (line) => rootOfMount(line.value("root")),
    near: (_, hosts) => withPorts(hosts),
    parts: [DEBUG, registry, FFI, {
      read: MOUNT_READS,
      write: MOUNT_WRITES,
      net: { all: "registries, its own socket" },
      run: MOUNT_RUNS,
      env: ["SOCI_SNAPSHOTTER_CONFIG"], // for [network] hosts
    }].flat(),
  },
  umount: worker({
    read: computed("DIR", (line) => line.positionals),
  }, FFI),
  config: worker({
    read: computed("the configuration", (line) => [configPath(line)]),
    env: ["SOCI_SNAPSHOTTER_CONFIG"],
  }),
  install: worker(installed, {
    read: computed(
      "containerd, the program, and where packages put units",
      (line) => [
        ...[
          ...[...CONTAINERD_PROGRAMS, ...VENDOR_UNITS],
          line.value("program") ?? DEFAULT_PROGRAM,
        ].map((path) => `${treeRoot(line.value("root"))}${path}`),
        Deno.execPath(),
      ],
    ),
    run: computed(
      "containerd, for its version and to try its configuration",
      (line) =>
        CONTAINERD_PROGRAMS.map((path) =>
          `${treeRoot(line.value("root"))}${path}`
        ),
    ),
  }),
  uninstall: worker(installed, purged, FFI),
  completion: worker(),
  licences: worker(), // its own files, which every Worker may read
  "mount-helper": { runs: "process", parts: [FFI] },
};

/** A part that holds only for some command lines. */
function unless(when: (line: Line) => boolean, says: string) {
  return (part: Part): Part =>
    Object.fromEntries(
      Object.entries(part).map(([kind, list]) => [
        kind,
        "of" in list
          ? {
            says: `${list.says} (${says})`,
            of: (line: Line) => when(line) ? [] : list.of(line),
          }
          : list,
      ]),
    );
}
