import {
  namesIn,
  readTextIfThere,
  removeIfThere,
  writeWhole,
} from "../../host/files/mod.ts";
import {
  MountHelper,
  MountTable,
  unmountElsewhere,
} from "../../host/mounting/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { SnapshotError } from "./errors.ts";
import { type IdMapping, idMapping } from "./idmap.ts";
import { mappingRefusal } from "./idmap_refusal.ts";
import type { Labels } from "./types.ts";

const log = logger("snapshotter");

/**
 * Clones on a host. The kernel takes 100 000 mounts in a namespace (sysctl `fs.mount-max`), and every
 * program that lists them reads them all.
 */
const MAX_CLONES = 10_000;
/** Folder beside the clones: which of them each snapshot uses. */
const USERS = "users";

/** What it works with. */
export interface MappedLowersOptions {
  /** The daemon's state folder: names of clones leave it out. */
  readonly root: string;
  /** Starts the process that makes the clones, see `MountHelper`; null: none can be made. */
  readonly mountHelper: readonly string[] | null;
  /** Clones at a time, of all snapshots; default 10 000. */
  readonly maxClones?: number;
  /** Whether a path is a folder of files, whose owner may be looked up: no mount of ours. */
  readonly isFolder: (path: string) => boolean;
}

/** The snapshot that is mounted. */
export interface MappedUser {
  readonly id: number;
  readonly name: string;
  readonly labels: Labels;
}

/**
 * Lower directories as containers with user namespaces need them: clones of the layers' mounts that
 * show mapped owners, one for each mapping and layer, at `<folder>/<mapping>/<path below root>`.
 *
 * containerd is told no mapping, as its releases make something else of it each
 * (docs/compatibility.md).
 *
 * A clone is there as long as a snapshot uses it. Which do is on disk before a clone is made, and
 * whether a clone is there, and is one of what its layer is shown by now, only the kernel's list of
 * mounts says. So nothing has to be restored after a restart, and what no snapshot uses is taken away.
 * Containers do not depend on them: overlayfs has clones of its own once it is mounted.
 */
export class MappedLowers implements AsyncDisposable {
  readonly #options: MappedLowersOptions;
  /** Below it clones are mounted, and nothing else is. */
  readonly #folder: string;
  readonly #helper: MountHelper;
  /** Snapshot → names of its clones. */
  readonly #users = new Map<number, readonly string[]>();
  /** Changes are made one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Reads what the last run has written down. @throws FileError */
  constructor(options: MappedLowersOptions) {
    this.#options = options;
    this.#folder = `${options.root}/snapshotter/mapped`;
    this.#helper = new MountHelper(options.mountHelper);
    for (const name of namesIn(`${this.#folder}/${USERS}`)) {
      const text = readTextIfThere(this.#record(name));
      if (/^[1-9][0-9]*$/.test(name) && text !== null) {
        this.#users.set(Number(name), text.split("\n"));
      }
    }
  }

  /**
   * The directories to mount a snapshot on: `directories` themselves for one without a mapping.
   * @param directories nearest first.
   * @throws SnapshotError `failed-precondition` where the kernel cannot map one of them,
   * `invalid-argument` for a mapping that is none, `unavailable` for too many clones.
   */
  async of(
    user: MappedUser,
    directories: readonly string[],
  ): Promise<readonly string[]> {
    const mapping = idMapping(user.name, user.labels);
    if (mapping === null || directories.length === 0) return directories;
    const remapped = await this.#remapped(directories, mapping);
    try {
      return await this.#inTurn(() =>
        this.#map(user, mapping, directories, remapped)
      );
    } catch (error) {
      // containerd has copied up every file of the layers below: they are not needed.
      if (remapped.has(directories[0]!)) return directories;
      throw error;
    }
  }

  /**
   * Folders whose files belong to the container's own root already: containerd without the capability
   * has changed all owners, or they are what such a container has written. Mapping them again would
   * give them to nobody.
   */
  async #remapped(
    directories: readonly string[],
    { root }: IdMapping,
  ): Promise<Set<string>> {
    const found = new Set<string>();
    for (const path of directories.filter(this.#options.isFolder)) {
      const { uid, gid } = await Deno.lstat(path);
      if (uid === root.uid && gid === root.gid) found.add(path);
    }
    return found;
  }

  async #map(
    user: MappedUser,
    mapping: IdMapping,
    directories: readonly string[],
    remapped: ReadonlySet<string>,
  ): Promise<string[]> {
    const folder = this.#folder;
    const names = new Map(
      directories.filter((source) => !remapped.has(source))
        .map((source) => [source, `${mapping.name}/${this.#nameOf(source)}`]),
    );
    const table = MountTable.read();
    const missing = [...names].map(([source, name]) => ({
      source,
      target: `${folder}/${name}`,
    })).filter(({ source, target }) => !table.isCloneOf(target, source));
    const { maxClones = MAX_CLONES } = this.#options;
    if (table.below(folder).length + missing.length > maxClones) {
      throw new SnapshotError(
        "unavailable",
        user.name,
        `snapshot ${user.name} cannot have its owners mapped: ${maxClones} id-mapped mounts are in use at most; remove containers first`,
      );
    }
    await this.#remember(user.id, [...names.values()]);
    for (const { target } of missing) {
      if (table.at(target) !== undefined) await this.#takeAway(target);
      Deno.mkdirSync(target, { recursive: true, mode: 0o700 });
    }
    const failure = missing.length === 0
      ? null
      : await this.#helper.map({ clones: missing, maps: mapping.maps });
    if (failure !== null) {
      const { source } = failure;
      this.#forget(user.id);
      await this.#collect();
      throw mappingRefusal(
        user.name,
        failure,
        source === null ? null : table.holder(source)?.type ?? null,
      );
    }
    return directories.map((source) => {
      const name = names.get(source);
      return name === undefined ? source : `${folder}/${name}`;
    });
  }

  /** A snapshot that is removed or committed uses no clones any more. They go soon after. */
  released(id: number): void {
    this.#inTurn(async () => {
      if (!this.#users.has(id)) return;
      this.#forget(id);
      await this.#collect();
    }).catch((error) =>
      log.warn("id-mapped mounts could not be taken away", { id, error })
    );
  }

  /** Takes away what no snapshot uses, and what shows a layer that is shown by another mount now. */
  async sweep(ids: ReadonlySet<number>): Promise<void> {
    await this.#inTurn(async () => {
      for (const id of [...this.#users.keys()]) {
        if (!ids.has(id)) this.#forget(id);
      }
      const mounted = await this.#collect();
      for (const name of namesIn(this.#folder)) {
        if (name === USERS) continue;
        await removeEmpty(`${this.#folder}/${name}`, mounted);
      }
    });
  }

  /** Takes all away: nobody will serve the layers. Who needs one again gets a new one. */
  async unmountAll(): Promise<void> {
    await this.#inTurn(async () => {
      for (const target of MountTable.read().below(this.#folder)) {
        await this.#takeAway(target);
      }
    });
  }

  /** Waits for what is under way. Clones stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inTurn(() => Promise.resolve());
    await this.#helper[Symbol.asyncDispose]();
  }

  /** @returns the clones that stay. */
  async #collect(): Promise<Set<string>> {
    const folder = this.#folder;
    const used = new Set([...this.#users.values()].flat());
    const table = MountTable.read();
    const stay = new Set<string>();
    for (const target of table.below(folder)) {
      const name = target.slice(folder.length + 1);
      if (used.has(name) && table.isCloneOf(target, this.#sourceOf(name))) {
        stay.add(target);
      } else await this.#takeAway(target);
    }
    return stay;
  }

  async #takeAway(target: string): Promise<void> {
    while (await unmountElsewhere(target)); // one may lie on another
    let at = target;
    try {
      for (; at !== this.#folder; at = at.slice(0, at.lastIndexOf("/"))) {
        Deno.removeSync(at);
      }
    } catch {
      // other clones are in there
    }
  }

  async #remember(id: number, names: readonly string[]): Promise<void> {
    this.#users.set(id, names);
    Deno.mkdirSync(`${this.#folder}/${USERS}`, {
      recursive: true,
      mode: 0o700,
    });
    await writeWhole(this.#record(String(id)), names.join("\n"));
  }

  #forget(id: number): void {
    this.#users.delete(id);
    removeIfThere(this.#record(String(id)));
  }

  #record(name: string): string {
    return `${this.#folder}/${USERS}/${name}`;
  }

  #nameOf(directory: string): string {
    const { root } = this.#options;
    return directory.startsWith(`${root}/`)
      ? directory.slice(root.length + 1)
      : `.${directory}`;
  }

  /** Of the name of a clone, which begins with that of its mapping. */
  #sourceOf(name: string): string {
    const path = name.slice(name.indexOf("/") + 1);
    return path.startsWith("./")
      ? path.slice(1)
      : `${this.#options.root}/${path}`;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {}); // told to the caller of this one
    return done;
  }
}

/** Removes folders in which nothing is mounted. Looks into no mount: who serves it may not answer yet. */
async function removeEmpty(
  path: string,
  mounted: ReadonlySet<string>,
): Promise<void> {
  if (mounted.has(path)) return;
  for (const name of namesIn(path)) {
    await removeEmpty(`${path}/${name}`, mounted);
  }
  await Deno.remove(path).catch(() => {}); // something is mounted in there
}
