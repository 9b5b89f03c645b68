/**
 * Layers out of Debian packages, as an image's build would leave them: each holds what a group of
 * packages brings beyond the layers below, and one what their installation makes.
 * @module
 */
import type { LayerBlob } from "../../support/images/mod.ts";
import { unpackPackages } from "../debian_image.ts";
import { treeLayer } from "../image.ts";
import { cacheFolder, exists, run } from "../support.ts";

/** Layers of packages, one on another. Folders and blobs are kept on disk between runs. */
export class PackageLayers {
  readonly #folder = `${cacheFolder()}/coldstart/layers`;
  /** Roots of the layers so far, lowest first. */
  readonly #roots: string[] = [];
  readonly #wanted: string[] = [];
  #present: readonly string[] = [];
  #name = "";

  /**
   * The layer of some packages and all they need.
   * @param name tells it from other layers on the same ones below.
   * @throws Error without Debian's archive
   */
  async add(name: string, packages: readonly string[]): Promise<LayerBlob> {
    const root = await this.#next(name);
    this.#wanted.push(...packages);
    if (!exists(`${root}.tar.gz`) || !exists(`${root}.done`)) {
      const all = await closure(this.#wanted);
      const present = new Set(this.#present);
      await unpackPackages(root, all.filter((it) => !present.has(it)), {
        keepMerged: this.#roots.length === 1,
        virtual: false,
      });
      await compilePython(root);
      await Deno.writeTextFile(`${root}.packages`, JSON.stringify(all));
    }
    this.#present = JSON.parse(await Deno.readTextFile(`${root}.packages`));
    return await treeLayer(root, root);
  }

  /** The layer of what a script changes that runs as root of the layers so far. */
  async finish(name: string, script: string): Promise<LayerBlob> {
    const below = this.#roots.toReversed().join(":");
    const root = await this.#next(name);
    if (!exists(`${root}.done`)) {
      await run("unshare", [
        ...["--mount", "sh", "-ec", FINISH, "sh", root, below, script],
      ]);
    }
    return await treeLayer(root, root);
  }

  async #next(name: string): Promise<string> {
    this.#name = this.#name === "" ? name : `${this.#name}-${name}`;
    const root = `${this.#folder}/${this.#name}`;
    await Deno.mkdir(root, { recursive: true });
    this.#roots.push(root);
    return root;
  }
}

const FINISH = `root="$1"; rm -rf "$root" "$root.work"
mkdir -p "$root" "$root.work" "$root.merged"
mount -t overlay overlay "$root.merged" \\
  -o "lowerdir=$2,upperdir=$root,workdir=$root.work"
mkdir -p "$root.merged/proc" "$root.merged/dev"
mount --bind /proc "$root.merged/proc"
mount --bind /dev "$root.merged/dev"
chroot "$root.merged" /bin/sh -ec "$3"
umount -R "$root.merged"
rm -rf "$root.work"; rmdir "$root.merged"
: > "$root.done"`;

/** Compiles Python's modules, which happens when Debian's packages of them are installed. */
async function compilePython(root: string): Promise<void> {
  await run("sh", [
    "-ec",
    'cd "$1"; for folder in usr/lib/python3 usr/lib/python3.*; do ' +
    'if test -d "$folder"; then /usr/bin/python3 -m compileall -qq ' +
    '--invalidation-mode timestamp -s "$1" -p / "$folder" || true; fi; done',
    ...["sh", root],
  ]);
}

/** The packages and all they need, as apt would install them on an empty machine. */
async function closure(names: readonly string[]): Promise<string[]> {
  const text = await run("apt-get", [
    ...["-s", "-o", "Dir::State::status=/dev/null"],
    ...["-o", "APT::Install-Recommends=false", "install", ...names],
  ]);
  return [...text.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name!);
}
