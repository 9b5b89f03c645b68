/** Which tests run together, and in which of them a path lies. @module */
import { normalize } from "node:path";

/** Tests that run in one process. */
export interface Storey {
  readonly name: string;
  /** Folders from the repository's root. */
  readonly folders: readonly string[];
  /** Flags for `deno test`. */
  readonly flags: readonly string[];
  /** Longer and it hangs, ms. All storeys together stay below what a check may take, 25 minutes. */
  readonly limitMs: number;
}

const MINUTE_MS = 60_000;

/** In this order, one after the other. */
export const STOREYS: readonly Storey[] = [
  {
    name: "unit",
    // `--doc` runs the examples of doc comments in lib as tests.
    folders: ["lib", "tests/unit"],
    flags: ["--doc", "--parallel"],
    limitMs: 4 * MINUTE_MS,
  },
  {
    // They share the machine: mounts, network namespaces, memory. So one at a time.
    name: "integration and end to end",
    folders: ["tests/integration", "tests/e2e"],
    flags: [],
    limitMs: 19 * MINUTE_MS,
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
  const flags = args.slice(split);
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
function within(path: string, { folders }: Storey): readonly string[] {
  if (path === ".") return folders;
  if (folders.some((one) => path === one || path.startsWith(`${one}/`))) {
    return [path];
  }
  return folders.filter((one) => one.startsWith(`${path}/`));
}
