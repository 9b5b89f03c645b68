/** Which tests run together, and in which of them a path lies. @module */
import { normalize } from "node:path";

/** Tests that run together. */
export interface Storey {
  readonly name: string;
  /** Folders from the repository's root. */
  readonly folders: readonly string[];
  /** Flags for `deno test`. */
  readonly flags: readonly string[];
  /**
   * Files are dealt out to processes that run side by side. Not to threads of one process, as `deno test
   * --parallel` does it: environment, umask, descriptors and memory are the whole process's.
   */
  readonly parallel: boolean;
  /** Longer and it hangs, ms. Several times what a quiet machine takes, so that a busy one is not cut short. */
  readonly limitMs: number;
}

const MINUTE_MS = 60_000;

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
    // They share the machine: mounts, network namespaces, memory. So one at a time.
    name: "integration and end to end",
    folders: ["tests/integration", "tests/e2e"],
    flags: [],
    parallel: false,
    limitMs: 45 * MINUTE_MS,
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
function within(path: string, { folders }: Storey): readonly string[] {
  if (path === ".") return folders;
  if (folders.some((one) => path === one || path.startsWith(`${one}/`))) {
    return [path];
  }
  return folders.filter((one) => one.startsWith(`${path}/`));
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
