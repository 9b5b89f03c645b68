/**
 * What the program's Workers may do, for people: the list of `docs/security.md`, and what tests hold each Worker to.
 * @module
 */

/** A Worker of the program; its module may be several, by the calls of libc that each binds. */
export interface WorkerNeeds {
  /** Path of its module. */
  readonly worker: string;
  /** Which of several it is. */
  readonly as?: string;
  /** What it is for. */
  readonly does: string;
  /** What it has. */
  readonly has: string;
  /**
   * What an attacker gets done who runs code inside it, when that is loaded and after its first message. Tests
   * compare.
   */
  readonly gets: readonly string[];
}

const LIBC = "all that root may do";
const OWN_FILES = ["read its file", "write its file"];

/** All but `cmd/command_worker.ts`, which each command has with lists of its own. */
export const WORKERS: readonly WorkerNeeds[] = [
  {
    worker: "lib/layers/builder/worker.ts",
    does: "reads layers for an index (`layers/builder`)",
    has: "nothing",
    gets: [],
  },
  {
    worker: "lib/layers/spans/whole_worker.ts",
    does: "hashes a whole layer (`layers/spans`)",
    has: "that layer's file",
    gets: ["read its file"],
  },
  {
    worker: "lib/layers/spans/inflate_worker.ts",
    does: "inflates spans (`layers/spans`)",
    has: "three calls",
    gets: ["read an open file"],
  },
  {
    worker: "lib/layers/whole/worker.ts",
    does: "takes layers whole (`layers/whole`)",
    has: "their folder, and two calls",
    gets: OWN_FILES,
  },
  {
    worker: "lib/layers/whole/unit_worker.ts",
    does: "inflates units of such a layer (`layers/whole`)",
    has: "their folder, and one call",
    gets: OWN_FILES,
  },
  {
    worker: "lib/layers/opening/worker.ts",
    as: "layers",
    does: "opens large layers (`layers/opening`)",
    has: "the root, and one call",
    gets: OWN_FILES,
  },
  {
    worker: "lib/layers/opening/worker.ts",
    as: "chains",
    does: "makes directories of large chains (`layers/opening`)",
    has: "the root, and ten calls that work on any path",
    gets: OWN_FILES,
  },
  {
    worker: "lib/layers/fs/worker.ts",
    does: "answers the kernel (`layers/fs`)",
    has: "libc",
    gets: ["load libc"],
  },
  {
    worker: "lib/layers/faces/erofs_probe_worker.ts",
    does: "answers the kernel in a self-test (`layers/faces`)",
    has: "libc",
    gets: ["load libc"],
  },
  {
    worker: "lib/remote/network/fetch_worker.ts",
    does: "asks registries (`remote/network`)",
    has: "the network",
    gets: ["connect elsewhere", "fetch from elsewhere"],
  },
];

/** The list for the page. */
export function workersTable(): string {
  const rows = WORKERS.map(({ does, has, gets }) =>
    `| ${does} | ${has} | ${told(gets)} |`
  );
  return [
    "| Worker | has | an attacker inside |",
    "| --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function told(gets: readonly string[]): string {
  if (gets.length === 0) return "nothing";
  return gets.map((what) => what === "load libc" ? `${what}: ${LIBC}` : what)
    .join("; ");
}
