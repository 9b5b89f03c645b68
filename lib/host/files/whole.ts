import { FileError } from "./errors.ts";

/** What takes bytes and may take fewer than it is given, such as an open file. */
export interface Writer {
  /** Takes some of the bytes. @returns how many, at least one. */
  write(bytes: Uint8Array): Promise<number>;
}

/** A {@linkcode Writer} that blocks. */
export interface SyncWriter {
  /** Takes some of the bytes. @returns how many, at least one. */
  writeSync(bytes: Uint8Array): number;
}

/** Writes all of `bytes`. @throws what the writer throws */
export async function writeAll(to: Writer, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await to.write(at === 0 ? bytes : bytes.subarray(at));
  }
}

/** {@linkcode writeAll}, done before it returns. @throws what the writer throws */
export function writeAllSync(to: SyncWriter, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    at += to.writeSync(at === 0 ? bytes : bytes.subarray(at));
  }
}

/** How a file is written whole. */
export interface DraftOptions {
  /**
   * Path of the draft, on the same file system; it must not exist. Default: `<path>.new`, for a file
   * that only one process writes; a leftover of an earlier run is overwritten.
   */
  readonly draftPath?: string;
  /** Permissions, whatever the umask; `umask`: as the umask leaves them. Default: 0o600. */
  readonly mode?: number | "umask";
  /** `data`: the bytes are on disk before the file has its name. Default: `none`. */
  readonly sync?: "data" | "none";
}

/**
 * A file that appears under its name only when it is complete. A reader finds the old file or the new
 * one, never a part of it, even if this process is killed at any moment. With `sync: "data"` this also
 * holds for a crash of the machine.
 *
 * ```
 * create ──► write* ──► finish ──► the file is there
 *    └──────────┴── disposed before: the draft is removed
 * ```
 */
export class Draft implements Disposable {
  readonly #path: string;
  readonly #draft: string;
  readonly #options: DraftOptions;
  readonly #file: Deno.FsFile;
  #life: "open" | "over" = "open";

  private constructor(
    path: string,
    draft: string,
    options: DraftOptions,
    file: Deno.FsFile,
  ) {
    this.#path = path;
    this.#draft = draft;
    this.#options = options;
    this.#file = file;
  }

  /** Begins a draft of the file at `path`. @throws FileError */
  static create(path: string, options: DraftOptions = {}): Draft {
    const { draftPath, mode = PRIVATE } = options;
    const draft = draftPath ?? `${path}.new`;
    try {
      const file = Deno.openSync(draft, {
        write: true,
        ...(draftPath === undefined
          ? { create: true, truncate: true }
          : { createNew: true }),
        ...(mode !== "umask" && { mode: PRIVATE }),
      });
      return new Draft(path, draft, options, file);
    } catch (cause) {
      throw new FileError("write", draft, cause);
    }
  }

  /** Adds bytes; they may be changed once this resolves. @throws FileError */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#file, bytes);
    } catch (cause) {
      throw new FileError("write", this.#draft, cause);
    }
  }

  /** {@linkcode Draft.write}, for all of its content. @throws FileError */
  async fill(bytes: Uint8Array): Promise<void> {
    if (bytes.length <= AT_ONCE_BYTES) this.writeSync(bytes);
    else await this.write(bytes);
  }

  /**
   * {@linkcode Draft.write}, but synchronous: for short writes, where waiting for a callback would take
   * longer. @throws FileError
   */
  writeSync(bytes: Uint8Array): void {
    try {
      writeAllSync(this.#file, bytes);
    } catch (cause) {
      throw new FileError("write", this.#draft, cause);
    }
  }

  /**
   * Gives the file its name, replacing an existing file. @throws FileError: then dispose of the draft.
   */
  async finish(): Promise<void> {
    if (this.#options.sync === "data") {
      try {
        await this.#file.syncData();
      } catch (cause) {
        throw new FileError("sync", this.#draft, cause);
      }
    }
    this.#rename();
  }

  /**
   * {@linkcode Draft.finish}, but synchronous: use `sync: "data"` only for small files. @throws
   * FileError
   */
  finishSync(): void {
    if (this.#options.sync === "data") {
      try {
        this.#file.syncDataSync();
      } catch (cause) {
        throw new FileError("sync", this.#draft, cause);
      }
    }
    this.#rename();
  }

  #rename(): void {
    const { mode = PRIVATE } = this.#options;
    try {
      if (mode !== "umask" && mode !== PRIVATE) {
        Deno.chmodSync(this.#draft, mode);
      }
      Deno.renameSync(this.#draft, this.#path);
    } catch (cause) {
      throw new FileError("rename", this.#path, cause);
    }
    this.#life = "over";
    this.#file.close();
  }

  /** Removes the draft, unless it was finished. */
  [Symbol.dispose](): void {
    if (this.#life === "over") return;
    this.#life = "over";
    this.#file.close();
    try {
      Deno.removeSync(this.#draft);
    } catch {
      // The original error was reported already; the next draft of this name overwrites the leftover.
    }
  }
}

const PRIVATE = 0o600;

/** Up to this size a write is synchronous: passing it to another thread and waiting takes longer. */
const AT_ONCE_BYTES = 256 * 1024;

const bytesOf = (content: Uint8Array | string): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

/** Puts a file in place whole, see {@linkcode Draft}. @throws FileError */
export async function writeWhole(
  path: string,
  content: Uint8Array | string,
  options: DraftOptions = {},
): Promise<void> {
  using draft = Draft.create(path, options);
  await draft.fill(bytesOf(content));
  await draft.finish();
}

/** {@linkcode writeWhole} of a small file, but synchronous. @throws FileError */
export function writeWholeSync(
  path: string,
  content: Uint8Array | string,
  options: DraftOptions = {},
): void {
  using draft = Draft.create(path, options);
  draft.writeSync(bytesOf(content));
  draft.finishSync();
}

/**
 * Syncs the bytes of a file, or the names in a folder, to disk without blocking this thread. @throws
 * FileError
 */
export async function putOnDisk(path: string): Promise<void> {
  try {
    using file = Deno.openSync(path);
    await file.syncData();
  } catch (cause) {
    throw new FileError("sync", path, cause);
  }
}
