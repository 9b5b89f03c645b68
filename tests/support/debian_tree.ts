/** A package of Debian in a tree of Debian: a copy of this machine's own that is thrown away. @module */
import { run } from "./host/mod.ts";

/** Folders that dpkg writes for itself. */
const OF_DPKG = ["/var/lib/dpkg", "/var/log", "/var/cache"];

/** What the package's programs may have left on the machine, beside what is installed. */
const OWN = [
  "etc/soci-snapshotter-grpc",
  "var/lib/soci-snapshotter-grpc",
  "var/lib/soci-deno",
];

/**
 * $1: a folder for it all, $2: the package, $3: commands for the tree while the package is there, $4: a folder that is
 * seen in the tree. Files that differ from the machine's are listed after each step.
 */
const STEPS = `set -e
folder=$1 package=$2 commands=$3 shown=$4
mkdir "$folder/layers" "$folder/tree"
mount -t tmpfs none "$folder/layers"
mkdir "$folder/layers/upper" "$folder/layers/work"
mount -t overlay -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work" none "$folder/tree"
for path in /proc /dev; do mount --rbind "$path" "$folder/tree$path"; done
mkdir -p "$folder/tree$shown"
mount --bind "$shown" "$folder/tree$shown"
differs() {
  (cd "$folder/layers/upper" && find . -not -type d | while read -r path; do
    cmp -s "$path" "/$path" || find "$path" -printf '%p\\t%y\\t%l\\n'
  done) | sed 's/^.//' >"$folder/$1"
}
debian() {
  chroot "$folder/tree" dpkg --no-triggers --force-unsafe-io "$@" >>"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2; exit 1; }
}
# What the machine keeps of its own is not there: it is kept out of the tree, and out of what is seen.
(cd "$folder/tree" && rm -rf ${OWN.join(" ")})
differs before
debian --install "$package"
differs installed
chroot "$folder/tree" sh -c "$commands"
differs used
debian --remove soci-deno
differs removed
debian --purge soci-deno
differs purged`;

/** What differs from the machine's tree, by path: `f`, `l` and where it leads, or `c` for what was there and is gone. */
export type Differences = ReadonlyMap<string, string>;

/** What was seen in the tree. */
export interface Installed {
  readonly installed: Differences;
  readonly used: Differences;
  readonly removed: Differences;
  readonly purged: Differences;
  /** What the commands printed. */
  readonly stdout: string;
}

/**
 * Installs a package, runs commands in the tree, removes and purges it. The tree is this machine's, in a mount
 * namespace of its own, and what is written to it is kept in memory.
 * @param folder for it all.
 * @param shown holds the package, and what its programs need; seen in the tree at the same place.
 * @throws CommandError
 */
export async function tryPackage(
  folder: string,
  { deb, commands, shown }: {
    readonly deb: string;
    readonly commands: string;
    readonly shown: string;
  },
): Promise<Installed> {
  const { stdout } = await run("unshare", [
    ...["--mount", "--propagation", "private", "sh", "-c", STEPS, "sh"],
    ...[folder, deb, commands, shown],
  ], { timeoutMs: 120_000 });
  const linesOf = async (name: string) =>
    (await Deno.readTextFile(`${folder}/${name}`)).split("\n");
  const before = new Set([...await linesOf("before"), ""]);
  const read = async (name: string): Promise<Differences> => {
    const lines = (await linesOf(name)).filter((line) => !before.has(line))
      .map((line) => line.split("\t"))
      .filter(([path]) =>
        !path!.startsWith(`${shown}/`) &&
        OF_DPKG.every((own) => !path!.startsWith(`${own}/`))
      );
    return new Map(
      lines.map(([path, kind, target]) =>
        [path!, target === "" ? kind! : `${kind} ${target}`] as const
      ),
    );
  };
  return {
    ...{ installed: await read("installed"), used: await read("used") },
    ...{ removed: await read("removed"), purged: await read("purged") },
    stdout,
  };
}
