import { type Digest, isDigest } from "../../formats/oci/mod.ts";
import {
  decodeZtoc,
  type SpanTable,
  spanTable,
  type Ztoc,
} from "../../formats/ztoc/mod.ts";
import { readTextIfThere, removeFolder } from "../../host/files/mod.ts";
import {
  closeFd,
  fileSize,
  makeFolder,
  O,
  openFd,
  OsError,
  truncateFd,
} from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { HeaderTable, SpanMap } from "../spans/mod.ts";
import { LayerTree } from "../tree/mod.ts";
import { compileZtoc, holds, type NewFile, openTree } from "./layer_files.ts";
import type { LayerSaver } from "./saver.ts";

const log = logger("images");

/** How a layer's folder is opened. */
export interface LayerFolderOptions {
  /** Path of the folder; made when it is missing. */
  readonly path: string;
  /** The ztoc; it has the digest that the slot table names. */
  readonly ztocBytes: Uint8Array<ArrayBuffer>;
  /** Diff ID that the whole tar must have; null: the one that the folder remembers, if any. */
  readonly diffId: Digest | null;
  /** Whether tar headers are compared with the ztoc when they arrive. */
  readonly headers: "checked" | "trusted";
  /** Writes new files to disk. */
  readonly saver: LayerSaver;
  /**
   * Which trees on disk may be used: those of this release's rules, or `any`, because the kernel knows
   * their inode numbers from the last process.
   */
  readonly trees: "current" | "any";
}

/** An open folder, and the layer's file tree, which is needed only during set-up. */
export interface OpenedFolder {
  /** Open. */
  readonly folder: LayerFolder;
  /** In memory; the folder does not keep it. */
  readonly tree: LayerTree;
}

/** The part of a ztoc that stays in memory while its layer is open: nothing about files. */
type ZtocFacts = Pick<
  Ztoc,
  "compression" | "compressedSize" | "uncompressedSize"
>;

/**
 * The folder of one layer, `<slot>/`, while the layer is open:
 *
 * | file | what | made |
 * |---|---|---|
 * | `ztoc` | the ztoc that the layer is served by | once |
 * | `tree` | its file tree, compiled from the ztoc | once; again when it is torn or of another version |
 * | `headers` | what the ztoc says of each tar header | the same |
 * | `data` | sparse file of the uncompressed tar | filled span by span |
 * | `spans` | which spans are in `data` (`SpanMap`) | one byte is written when a span comes or goes |
 * | `diff-id` | diff ID that the whole tar must have | once it is known |
 * | `checked` | the diff ID that the whole tar was seen to have | once |
 * | `unused` | no snapshot uses the layer, it is kept for the next that does (`IdleLayerFolders`) | |
 *
 * A ztoc is mostly file names. It is decoded here, and only small parts of it leave this class.
 */
export class LayerFolder implements Disposable {
  /** Path of the folder. */
  readonly path: string;
  /** Where the spans are, in the blob and in the tar. */
  readonly spans: SpanTable;
  /** How the blob is packed. */
  readonly compression: Ztoc["compression"];
  /** Size of the layer blob in bytes. */
  readonly compressedSize: number;
  /** Size of `data` in bytes. */
  readonly uncompressedSize: number;
  /** Null: headers are not checked. */
  readonly headers: HeaderTable | null;
  /** Descriptor of `data`, for reading and writing. */
  readonly dataFd: number;
  /** Diff ID that the whole tar must have; null when it is not known. */
  readonly diffId: Digest | null;
  /** Resolves when the layer's slot and the files that are made once are on disk. */
  readonly saved: Promise<void>;
  /** Whether the marks of present spans may be trusted. */
  readonly #isDataOld: boolean;
  #isChecked: boolean;

  private constructor(
    path: string,
    { compression, compressedSize, uncompressedSize }: ZtocFacts,
    spans: SpanTable,
    known: KnownDiffId,
    saved: Promise<void>,
    headers: HeaderTable | null,
  ) {
    this.path = path;
    this.compression = compression;
    this.compressedSize = compressedSize;
    this.uncompressedSize = uncompressedSize;
    this.spans = spans;
    this.diffId = known.diffId;
    this.#isChecked = known.isChecked;
    this.saved = saved;
    this.headers = headers;
    using opened = new DisposableStack();
    this.dataFd = opened.adopt(
      openFd(`${path}/data`, O.RDWR | O.CREAT),
      closeFd,
    );
    this.#isDataOld = uncompressedSize > 0 &&
      fileSize(this.dataFd) === uncompressedSize;
    truncateFd(this.dataFd, uncompressedSize);
    opened.move();
  }

  /**
   * Opens the folder of a layer, or makes it. A file that is missing, damaged or of another version is made
   * again.
   * @throws ZtocError, TreeCompileError, OsError
   */
  static open(options: LayerFolderOptions): OpenedFolder {
    const { path, ztocBytes } = options;
    const ztoc = decodeZtoc(ztocBytes);
    const spans = spanTable(ztoc);
    const isNew = makeFolder(path, 0o700);
    const files: NewFile[] = [];
    let tree = isNew ? null : openTree(`${path}/tree`, options.trees);
    if (tree === null) {
      const bytes = compileZtoc(ztoc, spans);
      files.push({ name: "tree", bytes });
      tree = new LayerTree(bytes);
    }
    if (isNew || !holds(`${path}/ztoc`, ztocBytes)) {
      files.push({ name: "ztoc", bytes: ztocBytes });
    }
    const known = knownDiffId(path, isNew, options.diffId);
    if (known.isNew) {
      const bytes = new TextEncoder().encode(known.diffId ?? "");
      files.push({ name: "diff-id", bytes });
    }
    const saved = options.saver.save(path, files); // continues while the rest is made
    using opened = new DisposableStack();
    const headers = options.headers === "trusted" ? null : opened.use(
      HeaderTable[isNew ? "make" : "open"](`${path}/headers`, ztoc, spans),
    );
    const folder = new LayerFolder(path, ztoc, spans, known, saved, headers);
    opened.move();
    return { folder, tree };
  }

  /**
   * Opens the span map and sets `presence` from it.
   * @param bootId the machine's current boot ID.
   * @throws OsError
   */
  openMap(presence: Uint8Array, bootId: string): SpanMap {
    return SpanMap.open(`${this.path}/spans`, presence, {
      bootId,
      trusted: this.#isDataOld,
    });
  }

  /** Reads the file tree from disk. @throws Error when it is missing or damaged. */
  readTree(): LayerTree {
    const tree = openTree(`${this.path}/tree`, "any");
    if (tree === null) throw new Error(`no file tree in ${this.path}`);
    return tree;
  }

  /** Whether the whole tar was found to have its diff ID, in this run or an earlier one. */
  get isChecked(): boolean {
    return this.#isChecked;
  }

  /** Remembers that the whole tar has its diff ID. @throws Deno's errors */
  setChecked(): void {
    this.#isChecked = true;
    Deno.writeTextFileSync(`${this.path}/checked`, this.diffId ?? "", {
      mode: 0o600,
    });
  }

  /**
   * Frees the disk blocks of `data` at once, because a FUSE Worker may keep the file open after it is unlinked.
   */
  emptyData(): void {
    try {
      truncateFd(this.dataFd, 0);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      log.warn("disk of a removed layer stays taken for now", {
        error: error.message,
      });
    }
  }

  /**
   * Resolves when nothing writes the files that are made once, whether that worked or not.
   */
  async settled(): Promise<void> {
    await this.saved.catch(() => {}); // callers that wait for the layer get the error
  }

  /** Removes the folder once nothing writes into it. Its open files stay open. */
  async remove(): Promise<void> {
    await this.settled();
    removeFolder(this.path);
  }

  /** Closes the open files; nobody may be using them. */
  [Symbol.dispose](): void {
    this.headers?.[Symbol.dispose]();
    closeFd(this.dataFd);
  }
}

interface KnownDiffId {
  readonly diffId: Digest | null;
  /** Whether it still has to be written into the folder. */
  readonly isNew: boolean;
  readonly isChecked: boolean;
}

/** The diff ID from the caller or the folder, and whether the tar was found to have it. */
function knownDiffId(
  path: string,
  isNewFolder: boolean,
  said: Digest | null,
): KnownDiffId {
  const written = isNewFolder ? null : readTextIfThere(`${path}/diff-id`);
  const diffId = said ?? (isDigest(written) ? written : null);
  return {
    diffId,
    isNew: diffId !== null && diffId !== written,
    isChecked: diffId !== null && !isNewFolder &&
      readTextIfThere(`${path}/checked`) === diffId,
  };
}
