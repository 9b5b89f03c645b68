import { type Digest, isDigest, sha256 } from "../../formats/oci/mod.ts";
import {
  decodeZtoc,
  type SpanTable,
  spanTable,
  type Ztoc,
} from "../../formats/ztoc/mod.ts";
import {
  readTextIfThere,
  removeFolder,
  writeWholeSync,
} from "../../host/files/mod.ts";
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

/** What a layer's folder is opened with. */
export interface LayerFolderOptions {
  /** Of the folder; made when it is missing. */
  readonly path: string;
  /** Of the digest that the layer's slot says. */
  readonly ztocBytes: Uint8Array<ArrayBuffer>;
  /** What the whole tar must be; null: what the folder says, if it does. */
  readonly diffId: Digest | null;
  /** Whether tar headers are compared with the ztoc as they come. */
  readonly headers: "checked" | "trusted";
  /** Writes new files to disk. */
  readonly saver: LayerSaver;
}

/** An open folder, and the layer's file tree, which is needed only while the layer is being set up. */
export interface OpenedFolder {
  /** Open. */
  readonly folder: LayerFolder;
  /** In memory, apart from the folder. */
  readonly tree: LayerTree;
}

/** The part of a ztoc that stays in memory while its layer is open: nothing about its files. */
type ZtocFacts = Pick<
  Ztoc,
  "compression" | "compressedSize" | "uncompressedSize"
>;

/**
 * The folder of one layer, `<slot>/`, while the layer is open:
 *
 * | file | what | made |
 * |---|---|---|
 * | `ztoc` | by what the layer is served | once |
 * | `tree` | its file tree, compiled from the ztoc | once; again when it is torn or of another version |
 * | `headers` | what the ztoc says of each tar header | the same |
 * | `data` | sparse file of the uncompressed tar | filled span by span |
 * | `spans` | which spans are in `data` (`SpanMap`) | a byte for each span that comes or goes |
 * | `diff-id` | what the whole tar must be | once it is known |
 * | `checked`, `checked-sum` | the diff ID that the whole tar was seen to have; a checksum of it and the ztoc's digest | once |
 * | `unused` | no snapshot uses the layer, it is kept for the next that does (`IdleLayerFolders`) | |
 *
 * A ztoc is mostly file names. It is decoded here, and only its compact parts leave this class.
 */
export class LayerFolder implements Disposable {
  /** Of the folder. */
  readonly path: string;
  /** Where the spans are, in the blob and in the tar. */
  readonly spans: SpanTable;
  /** How the blob is packed. */
  readonly compression: Ztoc["compression"];
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Bytes of `data`. */
  readonly uncompressedSize: number;
  /** Null: headers are not checked. */
  readonly headers: HeaderTable | null;
  /** `data`, to be read and written. */
  readonly dataFd: number;
  /** What the whole tar must be; null when nobody knows. */
  readonly diffId: Digest | null;
  /** Resolves when the files that are made once, and the layer's slot, are on disk. */
  readonly saved: Promise<void>;
  /** Whether marks of present spans may be believed. */
  readonly #isDataOld: boolean;
  readonly #ztocDigest: Digest;
  #isChecked: boolean;

  private constructor(
    path: string,
    { compression, compressedSize, uncompressedSize }: ZtocFacts,
    spans: SpanTable,
    known: KnownDiffId,
    saved: Promise<void>,
    headers: HeaderTable | null,
    ztocDigest: Digest,
  ) {
    this.path = path;
    this.#ztocDigest = ztocDigest;
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
   * Opens the folder of a layer, or makes it. A file that is missing, torn or of another version is made
   * again.
   * @throws ZtocError, TreeCompileError, OsError
   */
  static open(options: LayerFolderOptions): OpenedFolder {
    const { path, ztocBytes } = options;
    const ztoc = decodeZtoc(ztocBytes);
    const spans = spanTable(ztoc);
    const isNew = makeFolder(path, 0o700);
    const files: NewFile[] = [];
    let tree = isNew ? null : openTree(`${path}/tree`);
    if (tree === null) {
      const bytes = compileZtoc(ztoc, spans);
      files.push({ name: "tree", bytes });
      tree = new LayerTree(bytes);
    }
    if (isNew || !holds(`${path}/ztoc`, ztocBytes)) {
      files.push({ name: "ztoc", bytes: ztocBytes });
    }
    const ztocDigest = sha256(ztocBytes);
    const known = knownDiffId(path, isNew, options.diffId, ztocDigest);
    if (known.isNew) {
      const bytes = new TextEncoder().encode(known.diffId ?? "");
      files.push({ name: "diff-id", bytes });
    }
    const saved = options.saver.save(path, files); // continues while the rest is made
    using opened = new DisposableStack();
    const headers = options.headers === "trusted" ? null : opened.use(
      HeaderTable[isNew ? "make" : "open"](`${path}/headers`, ztoc, spans),
    );
    const folder = new LayerFolder(
      path,
      ztoc,
      spans,
      known,
      saved,
      headers,
      ztocDigest,
    );
    opened.move();
    return { folder, tree };
  }

  /**
   * Opens the map of present spans from the folder's file, and sets `presence` from it.
   * @param bootId of this run of the machine.
   * @throws OsError
   */
  openMap(presence: Uint8Array, bootId: string): SpanMap {
    return SpanMap.open(`${this.path}/spans`, presence, {
      bootId,
      trusted: this.#isDataOld,
    });
  }

  /** Whether the whole tar was seen to have its diff ID, in this run or an earlier one. */
  get isChecked(): boolean {
    return this.#isChecked;
  }

  /** Remembers that the whole tar has its diff ID. @throws Deno's errors */
  setChecked(): void {
    this.#isChecked = true;
    const { diffId } = this;
    if (diffId === null) return;
    // First what makes the mark believed.
    const sum = sumOfProof(diffId, this.#ztocDigest);
    writeWholeSync(`${this.path}/checked-sum`, sum);
    Deno.writeTextFileSync(`${this.path}/checked`, diffId, { mode: 0o600 });
  }

  /**
   * Frees the disk blocks of `data` at once: a FUSE Worker may keep the file open after it is unlinked.
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
   * Resolves when the files that are made once are no longer being written, whether that worked or not.
   */
  async settled(): Promise<void> {
    await this.saved.catch(() => {}); // reported to the callers that wait for the layer
  }

  /** Removes the folder once nothing is being written into it. Its open files stay open. */
  async remove(): Promise<void> {
    await this.settled();
    removeFolder(this.path);
  }

  /** Closes what is open; nobody may be using it. */
  [Symbol.dispose](): void {
    this.headers?.[Symbol.dispose]();
    closeFd(this.dataFd);
  }
}

interface KnownDiffId {
  readonly diffId: Digest | null;
  /** Whether the folder does not say it yet. */
  readonly isNew: boolean;
  readonly isChecked: boolean;
}

/** What the caller says of the whole tar, and what the folder remembers. */
function knownDiffId(
  path: string,
  isNewFolder: boolean,
  said: Digest | null,
  ztocDigest: Digest,
): KnownDiffId {
  const written = isNewFolder ? null : readTextIfThere(`${path}/diff-id`);
  const diffId = said ?? (isDigest(written) ? written : null);
  return {
    diffId,
    isNew: diffId !== null && diffId !== written,
    isChecked: diffId !== null && !isNewFolder &&
      readTextIfThere(`${path}/checked`) === diffId &&
      readTextIfThere(`${path}/checked-sum`) === sumOfProof(diffId, ztocDigest),
  };
}

/** Ties what the tar was seen to be to the ztoc it came by. */
function sumOfProof(diffId: Digest, ztocDigest: Digest): Digest {
  return sha256(new TextEncoder().encode(`${diffId} ${ztocDigest}`));
}
