/**
 * An image of Debian packages with Python's numpy, scipy and pandas, and a `/usr` of 48 000 files: a
 * base, what Python needs, and files of this machine.
 * @module
 */
import { type Image, makeImage } from "../support/images/mod.ts";
import { hostLayer, treeLayer } from "./image.ts";
import { cacheFolder, exists, run, someFiles } from "./support.ts";

const BASE = ["base-files", "coreutils", "dash", "findutils", "libc-bin"];
const PACKAGES = ["python3-pandas", "python3-scipy"];
/** Files below `/usr`, as `find` counts them. */
const USR_FILES = 48_000;
/** Where the rest of them comes from. */
const MORE = [
  "/usr/share",
  "/usr/include",
  "/usr/src",
  "/usr/local",
  "/usr/lib",
];
const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
/** Links of a merged `/usr`, which packages do not bring and all lean on. */
const MERGED = ["bin", "lib", "lib64", "sbin"];

/** The image; its layers are kept on disk between runs. @throws Error without Debian's archive */
export async function debianImage(): Promise<Image> {
  const folder = `${cacheFolder()}/debian`;
  await Deno.mkdir(folder, { recursive: true });
  const base = await closure(BASE);
  const wanted = (await closure(PACKAGES))
    .filter((name) => !base.includes(name));
  const roots = [`${folder}/base`, `${folder}/packages`] as const;
  await unpackPackages(roots[0], base, { keepMerged: true, virtual: true });
  await unpackPackages(roots[1], wanted, {
    keepMerged: false,
    virtual: true,
  });
  const here = roots.reduce(
    (sum, root) => sum + someFiles(root, Infinity).length,
    0,
  );
  const more = MORE.flatMap((root) => someFiles(root, Infinity))
    .slice(0, Math.max(0, USR_FILES - here));
  return makeImage({
    layers: [
      await treeLayer(`${folder}/base-layer`, roots[0]),
      await treeLayer(`${folder}/packages-layer`, roots[1]),
      await hostLayer(`${folder}/more-layer`, more),
    ],
    config: {
      env: [
        "PATH=/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE=1",
        // Where update-alternatives, which runs when a package is installed, would lead.
        `LD_LIBRARY_PATH=${LIBRARIES}/blas:${LIBRARIES}/lapack`,
      ],
      cmd: ["/usr/bin/python3"],
    },
  });
}

/** The packages and all they need, by name. */
async function closure(names: readonly string[]): Promise<string[]> {
  const text = await run("apt-cache", [
    ...["depends", "--recurse", "--no-recommends", "--no-suggests"],
    ...["--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"],
    ...names,
  ]);
  return text.split("\n").filter((line) => /^[a-z0-9][^:]*$/.test(line));
}

/**
 * Unpacks packages of Debian's archive below `root` as they would be installed, once.
 * @param options.keepMerged whether the links of a merged `/usr` stay: in an image's lowest layer.
 * @param options.virtual whether names may be among them that other packages only provide; such cannot
 * be had, and are left out.
 */
export async function unpackPackages(
  root: string,
  names: readonly string[],
  { keepMerged, virtual }: { keepMerged: boolean; virtual: boolean },
): Promise<void> {
  if (exists(`${root}.done`)) return;
  await Deno.mkdir(`${root}.debs`, { recursive: true });
  for (const name of MERGED) {
    await Deno.mkdir(`${root}/usr/${name}`, { recursive: true });
    if (!exists(`${root}/${name}`)) {
      await Deno.symlink(`usr/${name}`, `${root}/${name}`);
    }
  }
  // As on an empty machine: what is installed here, perhaps from elsewhere, does not count.
  const get = "apt-get -o Dir::State::status=/dev/null download -qq";
  await run("sh", [
    "-ec",
    'root="$1"; cd "$1.debs"; shift; ' +
    (virtual
      ? `for name; do ${get} "$name" 2> /dev/null || true; done; `
      : `${get} "$@"; `) +
    'for deb in *.deb; do dpkg-deb --fsys-tarfile "$deb" | ' +
    'tar -C "$root" --keep-directory-symlink -xf -; done',
    ...["sh", root, ...names],
  ]);
  if (!keepMerged) {
    for (const name of MERGED) await Deno.remove(`${root}/${name}`);
  }
  await Deno.writeTextFile(`${root}.done`, "");
}
