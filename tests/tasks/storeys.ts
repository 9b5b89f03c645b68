/** Which tests run together, and in which of them a path lies. @module */
import { normalize } from "node:path";

/** Tests that run together. */
export interface Storey {
  readonly name: string;
  /** Folders, or single test files, from the repository's root. */
  readonly folders: readonly string[];
  /** What lies in the folders and belongs to another storey. */
  readonly except?: readonly string[];
  /** Flags for `deno test`. */
  readonly flags: readonly string[];
  /**
   * Files are dealt out to processes that run side by side. Not to threads of one process, as `deno test
   * --parallel` does it: environment, umask, descriptors and memory are the whole process's.
   */
  readonly parallel: boolean;
  /**
   * Each path is a process of its own, and so many of them run at once: whoever has ended takes the next. For
   * tests that mostly wait. Without it, files are dealt out to a process a processor.
   */
  readonly atOnce?: number;
  /** Longer and it hangs, ms. Several times what a quiet machine takes, so that a busy one is not cut short. */
  readonly limitMs: number;
}

const MINUTE_MS = 60_000;

/**
 * Tests over real mounts, containers and registries that work below folders of their own, measure no
 * time and ask nothing of the whole machine. Long ones first and apart: they are dealt out in turn.
 */
const SIDE_BY_SIDE = [
  "tests/e2e/writers_test.ts",
  "tests/e2e/compiled_test.ts",
  "tests/e2e/arm64_test.ts",
  "tests/e2e/snapshotter_suite_test.ts",
  "tests/e2e/state_loss_test.ts",
  "tests/e2e/userns_test.ts",
  "tests/e2e/state_disk_test.ts",
  "tests/e2e/restart_test.ts",
  "tests/e2e/tree_variants_test.ts",
  "tests/e2e/registries_test.ts",
  "tests/e2e/trust_test.ts",
  "tests/integration/layers/spans/whole_layer_test.ts",
  "tests/e2e/lazy_test.ts",
  "tests/e2e/order_test.ts",
  "tests/e2e/replay_test.ts",
  "tests/integration/layers/serving/torn_test.ts",
  "tests/integration/layers/whole/program_test.ts",
  "tests/e2e/peer_test.ts",
  "tests/e2e/eager_test.ts",
  "tests/e2e/eager_faults_test.ts",
  "tests/e2e/eager_index_test.ts",
  "tests/e2e/eager_policy_test.ts",
  "tests/e2e/eager_large_test.ts",
  "tests/e2e/switch_test.ts",
  "tests/e2e/ops_test.ts",
  "tests/e2e/copy_test.ts",
  "tests/e2e/eager_kill_test.ts",
  "tests/e2e/offline_test.ts",
  "tests/e2e/holder_test.ts",
  "tests/e2e/mount_test.ts",
  "tests/e2e/root_test.ts",
  "tests/e2e/formats_test.ts",
  "tests/integration/layers/serving/claims_test.ts",
  "tests/integration/layers/spans/cache_test.ts",
  "tests/e2e/hostile_test.ts",
  "tests/e2e/crash_test.ts",
  "tests/e2e/shared_layer_test.ts",
  "tests/integration/images",
  "tests/integration/layers/faces",
  "tests/integration/layers/opening",
  "tests/integration/layers/serving/open_layer_test.ts",
  "tests/integration/layers/serving/packs_test.ts",
  "tests/integration/layers/serving/retained_test.ts",
  "tests/integration/layers/serving/truth_test.ts",
  "tests/e2e/soci_test.ts",
  "tests/e2e/nerdctl_test.ts",
  "tests/e2e/upstream_test.ts",
  "tests/e2e/stacks_test.ts",
  "tests/e2e/tree_edges_test.ts",
  "tests/e2e/build_index_test.ts",
  "tests/e2e/pull_test.ts",
  "tests/e2e/status_test.ts",
  "tests/e2e/prefetch_test.ts",
  "tests/e2e/gc_test.ts",
  "tests/e2e/soci_peer_test.ts",
  "tests/e2e/volumes_test.ts",
  "tests/e2e/libc_hosts_test.ts",
  "tests/e2e/setfacl_test.ts",
  "tests/e2e/logins_test.ts",
  "tests/e2e/containerd_versions_test.ts",
  "tests/e2e/install_test.ts",
  "tests/e2e/upgrade_test.ts",
  "tests/e2e/docs_test.ts",
  "tests/integration/compile",
  "tests/e2e/cri_proxy_test.ts",
  "tests/e2e/config_keys_test.ts",
  "tests/e2e/permissions_test.ts",
  "tests/e2e/attacker_test.ts",
  "tests/e2e/audit_test.ts",
  "tests/e2e/local_users_test.ts",
  "tests/integration/formats",
  "tests/integration/indexes",
  "tests/integration/remote",
];

/** In this order, one after the other. */
export const STOREYS: readonly Storey[] = [
  {
    name: "unit",
    // `--doc` runs the examples of doc comments in lib as tests.
    folders: ["lib", "tests/unit"],
    flags: ["--doc"],
    parallel: true,
    limitMs: 12 * MINUTE_MS,
  },
  {
    name: "side by side",
    folders: SIDE_BY_SIDE,
    flags: [],
    parallel: true,
    atOnce: 4,
    limitMs: 12 * MINUTE_MS,
  },
  {
    // They share the machine: mounts, network namespaces, memory, time. So one at a time.
    name: "integration and end to end",
    folders: ["tests/integration", "tests/e2e"],
    except: SIDE_BY_SIDE,
    flags: [],
    parallel: false,
    limitMs: 32 * MINUTE_MS,
  },
];

/** What is asked for: paths of one storey, and flags that all of them get. */
export interface Selection {
  readonly storey: Storey;
  readonly paths: readonly string[];
  readonly flags: readonly string[];
}

/**
 * Reads the command line: paths first, then flags for `deno test`. No path means all.
 * @param args paths are from the repository's root; a folder above storeys means all of them.
 * @throws RangeError for a path that lies in no storey.
 */
export function select(args: readonly string[]): readonly Selection[] {
  const firstFlag = args.findIndex((one) => one.startsWith("-"));
  const split = firstFlag < 0 ? args.length : firstFlag;
  const flags = args.slice(args[split] === "--" ? split + 1 : split);
  const wanted = args.slice(0, split);
  const paths = (wanted.length === 0 ? ["."] : wanted).map(plain);
  const chosen = STOREYS.map((storey) => ({
    storey,
    paths: paths.flatMap((path) => within(path, storey)),
    flags,
  }));
  for (const path of paths) {
    if (STOREYS.every((storey) => within(path, storey).length === 0)) {
      throw new RangeError(
        `${path} holds no tests: they are in ${
          STOREYS.flatMap(({ folders }) => folders).join(", ")
        }`,
      );
    }
  }
  return chosen.filter((one) => one.paths.length > 0);
}

/** `./tests//unit/` is `tests/unit`. */
function plain(path: string): string {
  return normalize(path).replace(/\/$/, "");
}

/** The path where it lies in the storey; the storey's folders where they lie below the path. */
function within(path: string, { folders, except }: Storey): readonly string[] {
  const found = path === "." || !folders.some((one) => isWithin(path, one))
    ? folders.filter((one) => path === "." || isWithin(one, path))
    : [path];
  if (except === undefined) return found;
  return found.flatMap((one) => one.endsWith(".ts") ? [one] : testFiles(one))
    .filter((file) => !except.some((one) => isWithin(file, one)));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/**
 * Deals paths out to at most so many processes, about as many files to each. Neighbours, which are alike
 * in how long they take, go to different ones.
 * @param files the test files below a folder.
 */
export function deal(
  paths: readonly string[],
  count: number,
  files: (folder: string) => readonly string[] = testFiles,
): readonly (readonly string[])[] {
  const all = paths.flatMap((path) =>
    path.endsWith(".ts") || isSource(path) ? [path] : files(path)
  );
  const hands = Array.from(
    { length: Math.min(count, all.length) },
    (): string[] => [],
  );
  all.forEach((path, i) => hands[i % hands.length]?.push(path));
  return hands.length === 0 ? [paths] : hands;
}

/** Sources hold examples and no test files; they are read as a whole. */
function isSource(path: string): boolean {
  return path === "lib" || path.startsWith("lib/");
}

function testFiles(folder: string): readonly string[] {
  return [...Deno.readDirSync(folder)]
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name, isDirectory }) => {
      const path = `${folder}/${name}`;
      if (isDirectory) return testFiles(path);
      return name.endsWith("_test.ts") ? [path] : [];
    });
}
