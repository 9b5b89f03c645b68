import {
  readTextIfThere,
  removeIfThere,
  statIfThere,
  writeAllSync,
  writeWholeSync,
} from "../../host/files/mod.ts";

/** In the place of a part's size: the blob comes in order, and its file is as long as what came. */
const IN_ORDER = "in order";

/** What a kept file holds of a blob. */
export interface PartsThere {
  /** Chunks that are in the file. */
  readonly chunks: readonly number[];
  /** Bytes from the beginning on that came in order; 0 where chunks come. */
  readonly inOrder: number;
}

/**
 * Which parts of a blob are in its file, written beside it as `<path>.parts`: so that the next process need not fetch
 * them again. A part is named once its bytes are written: a process that is killed leaves it named and there, or not
 * named. After a power loss it may be named and not there; whoever reads the file hashes it.
 *
 * The first line is the size of a part, each other one the number of a part.
 */
export class KeptParts implements Disposable {
  /** What was there. */
  readonly there: PartsThere;
  readonly #file: Deno.FsFile;

  private constructor(there: PartsThere, file: Deno.FsFile) {
    this.there = there;
    this.#file = file;
  }

  /**
   * Reads what is known of a file, and goes on from there. What is of another size of parts is forgotten, with its
   * file.
   * @param path of the file. @param sizeBytes of the blob. @param chunkBytes of a part; null: it comes in order.
   * @throws FileError, Deno's errors
   */
  static open(
    path: string,
    sizeBytes: number,
    chunkBytes: number | null,
  ): KeptParts {
    const list = partsOf(path);
    const size = String(chunkBytes ?? IN_ORDER);
    const fileBytes = statIfThere(path)?.size ?? 0;
    const [first, ...named] = (readTextIfThere(list) ?? "").split("\n")
      .slice(0, -1); // what is behind the last line break was not finished
    let there: PartsThere = { chunks: [], inOrder: 0 };
    if (first !== size || fileBytes > sizeBytes) removeKept(path);
    else if (chunkBytes === null) there = { chunks: [], inOrder: fileBytes };
    else {
      const count = Math.ceil(sizeBytes / chunkBytes);
      const chunks = [...new Set(named.map(Number))].filter((chunk) =>
        Number.isSafeInteger(chunk) && chunk >= 0 && chunk < count &&
        fileBytes >= Math.min(sizeBytes, (chunk + 1) * chunkBytes)
      );
      there = { chunks, inOrder: 0 };
    }
    if (statIfThere(path) !== null) {
      const now = new Date();
      Deno.utimeSync(path, now, now); // in use: it is no old one any more
    }
    writeWholeSync(list, [size, ...there.chunks, ""].join("\n"));
    return new KeptParts(there, Deno.openSync(list, { append: true }));
  }

  /** The bytes of a chunk are in the file. @throws Deno's errors */
  add(chunk: number): void {
    writeAllSync(this.#file, new TextEncoder().encode(`${chunk}\n`));
  }

  /** Closes the list; it stays. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

const partsOf = (path: string) => `${path}.parts`;

/** Removes a file and what is known of it. @throws FileError */
export function removeKept(path: string): void {
  removeIfThere(partsOf(path)); // first: it must not outlive its file
  removeIfThere(path);
}
