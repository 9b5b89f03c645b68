import { FileError, writeAllSync } from "../../host/files/mod.ts";
import { fileSystemUse } from "../../host/os/mod.ts";
import { type TarSink, TarSinkError } from "../builder/mod.ts";
import { WRITE_BYTES } from "./write_bytes.ts";

/** After so many bytes the disk is looked at again: other layers fill it, too. */
const LOOK_BYTES = 4 * 2 ** 20;
/** The part of a disk that whole layers may not fill. */
const RESERVE = 0.05;

/** Writes a layer's tar into a new file while it is inflated: the only time that it is written. */
export class DataWriter implements TarSink {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #piece = new Uint8Array(WRITE_BYTES);
  #held = 0;
  #written = 0;
  #lookAt = 0;

  /** Makes the file, or empties it. @throws TarSinkError */
  constructor(path: string) {
    this.#path = path;
    this.#file = this.#try(() =>
      Deno.openSync(path, {
        ...{ write: true, create: true, truncate: true, mode: 0o600 },
      })
    );
  }

  /** Takes the next bytes; they may be reused after the call. @throws TarSinkError */
  write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      const room = Math.min(WRITE_BYTES - this.#held, bytes.length - from);
      this.#piece.set(bytes.subarray(from, from + room), this.#held);
      this.#held += room;
      from += room;
      if (this.#held === WRITE_BYTES) this.#flush();
    }
  }

  #flush(): void {
    if (this.#held === 0) return;
    if (this.#written >= this.#lookAt) this.#look();
    const bytes = this.#piece.subarray(0, this.#held);
    this.#try(() => writeAllSync(this.#file, bytes));
    this.#written += this.#held;
    this.#held = 0;
  }

  #look(): void {
    this.#lookAt = this.#written + LOOK_BYTES;
    const { blocks, blocksAvailable } = fileSystemUse(this.#path);
    if (blocksAvailable > blocks * RESERVE) return;
    throw new TarSinkError(
      `the disk of ${this.#path} is nearly full: ${this.#written} bytes of the layer are there; free disk space below --root`,
    );
  }

  /** All is here. @param sizeBytes of the tar to its end marker: the padding behind it is cut off. @throws TarSinkError */
  end(sizeBytes: number): void {
    this.#flush();
    this.#try(() => this.#file.truncateSync(sizeBytes));
  }

  /** Closes the file; it stays. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  #try<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const { message } = new FileError("write", this.#path, cause);
      throw new TarSinkError(
        `${message}; is there disk space below --root?`,
        { cause },
      );
    }
  }
}
