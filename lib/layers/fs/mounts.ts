import { FuseMount, type ServedMount } from "./fuse_mount.ts";
import { Life } from "./life.ts";
import { MOUNTS_STEPS, type MountsState } from "./mounts_life.ts";
import type { SharedMemory } from "./shared/mod.ts";

/** Names of the mounts: for layers without extended attributes, and for those with. */
export const MOUNT_NAMES = ["n", "x"] as const;

/** The mount whose blobs EROFS reads. */
export const BLOB_MOUNT = "n";

/** How the mounts are made and served. */
export interface FuseMountsOptions {
  /** Folder that holds `<slot>/tree` and `<slot>/data`. */
  readonly layersDirectory: string;
  /** Empty folder for the mountpoints. */
  readonly mountDirectory: string;
  /** What the Workers answer from. */
  readonly shared: SharedMemory;
  /** Whether reads of blobs bypass the kernel's cache, see `LayerHandlerOptions`. */
  readonly directBlobs: boolean;
  /** Whether the log tells of every request. */
  readonly tellsRequests: boolean;
  /** Workers that answer on each mount. */
  readonly workersPerMount: number;
  /** Mounts of an ended process, to be served instead of making new ones. */
  readonly taken: readonly ServedMount[];
  /** Called for an internal error that a reader of a mount met; serving continues. */
  readonly onFault: (mountpoint: string, detail: string) => void;
}

/** The FUSE mounts of the file system and the Workers that answer on them. */
export class FuseMounts implements AsyncDisposable {
  readonly #options: FuseMountsOptions;
  readonly #life = new Life("the mounts", MOUNTS_STEPS, "silent");
  readonly #mounts: FuseMount[] = [];

  /** Nothing is mounted before {@linkcode FuseMounts.open}. */
  constructor(options: FuseMountsOptions) {
    this.#options = options;
  }

  /** Their state. */
  get state(): MountsState {
    return this.#life.state;
  }

  /**
   * Mounts, or takes over, and loads the Workers. @throws OsError, Deno's errors; then dispose of it.
   */
  async open(): Promise<void> {
    for (const name of MOUNT_NAMES) this.#mounts.push(this.#mount(name));
    await Promise.all(this.#mounts.map((mount) => mount.loaded()));
  }

  /** Begins to answer; resolves when all mounts are served. @throws OsError; Error when one is unmounted */
  async serve(): Promise<void> {
    this.#life.take("serve");
    for (const mount of this.#mounts) mount.begin();
    await Promise.all(this.#mounts.map((mount) => mount.served()));
  }

  /** What another process needs to serve them. Only while they are served. */
  all(): Promise<ServedMount[]> {
    return Promise.all(this.#mounts.map((mount) => mount.described()));
  }

  /** The descriptor of the mount with that number in ring items. */
  descriptor(index: number): number | undefined {
    return this.#mounts[index]?.fd;
  }

  /** Leaves the mounts to a successor. */
  leave(): void {
    const before = this.#life.take("leave");
    for (const mount of this.#mounts) {
      if (before === "silent") mount.drop();
      else mount.letEnd();
    }
  }

  /** Ends the Workers of mounts that were left; the mounts are the caller's from now on. */
  async retire(): Promise<ServedMount[]> {
    this.#life.take("retire");
    return await Promise.all(this.#mounts.map((mount) => mount.retire()));
  }

  /** Unmounts, and waits for the Workers. Mounts that were left to a successor stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    const before = this.#life.take("close");
    if (before !== "silent" && before !== "served") return;
    for (const mount of this.#mounts) {
      mount.letEnd();
      mount.unmount();
    }
    for (const mount of this.#mounts) {
      await mount.close({ began: before === "served" });
    }
  }

  #mount(name: string): FuseMount {
    const { shared, mountDirectory, workersPerMount } = this.#options;
    const taken = this.#options.taken.find((mount) => mount.name === name);
    const mountpoint = taken?.mountpoint ?? `${mountDirectory}/${name}`;
    const index = this.#mounts.length;
    return new FuseMount({
      name,
      mountpoint,
      taken,
      workers: Array.from(
        { length: workersPerMount },
        (_, nth) => index * workersPerMount + nth,
      ),
      // Where EROFS shows the layers, hardly any is shown by the other mount.
      workersStart: this.#options.directBlobs && name !== BLOB_MOUNT
        ? "when asked"
        : "at once",
      readers: shared.readers,
      end: shared.end,
      start: {
        mount: index,
        xattrs: name === "x",
        directBlobs: this.#options.directBlobs && name === BLOB_MOUNT,
        layersDirectory: this.#options.layersDirectory,
        shared: shared.buffers(),
        tellsRequests: this.#options.tellsRequests,
      },
      life: this.#life,
      onFault: (detail) => this.#options.onFault(mountpoint, detail),
    });
  }
}
