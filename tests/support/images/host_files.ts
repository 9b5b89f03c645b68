import type { TarBuilder, TarTime } from "./tar_builder.ts";

/**
 * The time of directories and symbolic links. On the host it depends on when they were installed.
 */
const FIXED: TarTime = { seconds: 1_577_934_245, nanos: 0 };

/**
 * Copies files of this machine into archives, each at most once. A file keeps its mode and the
 * seconds of its mtime, because Python's byte code records its source's.
 */
export class HostFiles {
  readonly #done = new Set<string>();

  /** Adds a regular file under its own path, with the directories it needs. */
  file(tar: TarBuilder, path: string): void {
    if (!this.#first(path)) return;
    this.parents(tar, path);
    const { mode, mtime } = Deno.statSync(path);
    const seconds = Math.floor((mtime?.getTime() ?? 0) / 1000);
    tar.file(path.slice(1), Deno.readFileSync(path), {
      mode: (mode ?? 0o644) & 0o777,
      mtime: { seconds, nanos: 0 },
    });
  }

  /** Adds a file, and also the symbolic link if the path is one. */
  library(tar: TarBuilder, path: string): void {
    const real = Deno.realPathSync(path);
    this.file(tar, real);
    const slash = path.lastIndexOf("/");
    const link = `${Deno.realPathSync(path.slice(0, slash))}${
      path.slice(slash)
    }`;
    if (link === real || !this.#first(link)) return;
    this.parents(tar, link);
    tar.symlink(link.slice(1), real, { mtime: FIXED });
  }

  /** Adds everything below a directory for which `wanted` returns true. */
  tree(
    tar: TarBuilder,
    folder: string,
    wanted: (path: string) => boolean,
  ): void {
    const entries = [...Deno.readDirSync(folder)]
      .sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { name, isDirectory, isFile } of entries) {
      const path = `${folder}/${name}`;
      if (!wanted(path)) continue;
      if (isDirectory) this.tree(tar, path, wanted);
      else if (isFile) this.file(tar, path);
      // symbolic links of the standard library lead to tools and configuration outside of it
    }
  }

  /** Adds the directories above a path. */
  parents(tar: TarBuilder, path: string): void {
    for (
      let at = path.indexOf("/", 1);
      at > 0;
      at = path.indexOf("/", at + 1)
    ) {
      const folder = path.slice(0, at);
      if (this.#first(folder)) tar.dir(folder.slice(1), { mtime: FIXED });
    }
  }

  #first(path: string): boolean {
    if (this.#done.has(path)) return false;
    this.#done.add(path);
    return true;
  }
}

/** Paths of the shared libraries and the loader that programs need (ldd). */
export function librariesOf(programs: readonly string[]): string[] {
  const { stdout } = new Deno.Command("ldd", { args: [...programs] })
    .outputSync();
  const paths = new TextDecoder().decode(stdout)
    .matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm);
  return [...new Set([...paths].map(([, path]) => path!))].sort();
}
