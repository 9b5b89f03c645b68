import { type Digest, isDigest, sha256 } from "../../formats/oci/mod.ts";
import {
  openSpans,
  type SpanFacts,
  type SpanTable,
  type ZtocCompression,
} from "../../formats/ztoc/mod.ts";
import {
  checkedLine,
  readTextIfThere,
  removeFolderElsewhere,
  removeIfThere,
  statIfThere,
  textOfLine,
  writeWholeSync,
} from "../../host/files/mod.ts";
import {
  closeFd,
  emptyElsewhere,
  ERRNO,
  fileSize,
  O,
  openFd,
  OsError,
  truncateFd,
} from "../../host/os/mod.ts";
import { logger, tellStateDamage } from "../../telemetry/mod.ts";
import { type HeaderIndex, HeaderTable, SpanMap } from "../spans/mod.ts";
import type { LayerTree } from "../tree/mod.ts";
import { type NewFiles, readTree } from "./layer_files.ts";
import type { ZtocRest } from "./layer_parts.ts";
import { provenWhole, putWholeData } from "./whole_data.ts";
import type { LayerSaver } from "./saver.ts";
import { SLOT_RECORD } from "./slot_files.ts";

const log = logger("images");

/** What a layer's folder is opened with: what stays in memory of its parts. */
export interface FolderParts {
  /** Where the spans are, and how the blob is packed. */
  readonly spans: SpanFacts;
  /** Where the records of `headers` are; null: headers are not checked. */
  readonly headers: HeaderIndex | null;
}

/** A folder whose new files are on their way to the disk. */
export interface BegunFolder {
  /** What the whole tar must be, as far as it is known. */
  readonly known: KnownDiffId;
  /** Resolves when they, and the layer's slot, are on disk. */
  readonly saved: Promise<void>;
}

/**
 * The folder of one layer, `<slot>/`, while the layer is open:
 *
 * | file | what | made |
 * |---|---|---|
 * | `slot` | the layer's row of `slots.db`, should that be lost | once; again when the row changes |
 * | `ztoc` | the ztoc that the layer is served by | once |
 * | `tree` | its file tree, compiled from the ztoc | once; again when it is torn or of another version |
 * | `headers` | what the ztoc says of each tar header | the same |
 * | `data` | sparse file of the uncompressed tar | filled span by span |
 * | `spans` | which spans are in `data` (`SpanMap`) | one word is written when a span comes or goes |
 * | `diff-id` | diff ID that the whole tar must have | once it is known |
 * | `checked` | the diff ID that the whole tar was found to have | once |
 * | `checked-sum` | checksum over that diff ID and the ztoc's digest | once |
 * | `whole` | `data` was proven before it was shown, and stays as it is: the kernel may read it without us. What `checked-sum` says, which is not made then | before the layer is shown |
 * | `unused` | no snapshot uses the layer, it is kept for the next that does (`IdleLayerFolders`) | |
 *
 * A ztoc is mostly file names. It is decoded by `makeParts`, and only compact parts of it stay.
 */
export class LayerFolder implements Disposable {
  /** Path of the folder. */
  readonly path: string;
  /** Where the spans are, in the blob and in the tar. */
  readonly spans: SpanTable;
  /** How the blob is packed. */
  readonly compression: ZtocCompression;
  /** Size of the layer blob in bytes. */
  readonly compressedSize: number;
  /** Size of `data` in bytes. */
  readonly uncompressedSize: number;
  /** Descriptor of `data`, for reading and writing. */
  readonly dataFd: number;
  /** Diff ID that the whole tar must have; null when it is not known. */
  readonly diffId: Digest | null;
  /** Resolves when the layer's slot and the files that are made once are on disk. */
  readonly saved: Promise<void>;
  /** Whether no byte of `data` may be taken away, as long as there is the layer: see `putWholeData`. */
  readonly staysWhole: boolean;
  /** Whether the marks of present spans may be trusted. */
  readonly #isDataOld: boolean;
  readonly #ztocDigest: string;
  readonly #isProvenNow: boolean;
  #isChecked: boolean;
  #isDamageTold = false;
  #ztocSaved: Promise<void> = Promise.resolve();
  #headers: HeaderTable | null;

  private constructor(
    path: string,
    { spans }: FolderParts,
    { known, saved }: BegunFolder,
    headers: HeaderTable | null,
  ) {
    this.path = path;
    this.#ztocDigest = known.ztocDigest;
    this.compression = spans.compression;
    this.compressedSize = spans.compressedSize;
    this.uncompressedSize = spans.uncompressedSize;
    this.spans = openSpans(spans);
    this.diffId = known.diffId;
    this.#isChecked = known.isChecked;
    this.saved = saved;
    this.#headers = headers;
    this.staysWhole = known.isWhole;
    this.#isProvenNow = known.isProvenNow;
    using opened = new DisposableStack();
    this.dataFd = opened.adopt(openData(`${path}/data`), closeFd);
    this.#isDataOld = this.uncompressedSize > 0 &&
      fileSize(this.dataFd) === this.uncompressedSize;
    if (!this.#isDataOld) {
      // The marks first: whoever kills this process now must not leave them over a file of holes.
      removeIfThere(`${path}/spans`);
      truncateFd(this.dataFd, this.uncompressedSize);
    }
    opened.move();
  }

  /**
   * Begins to save what is new in a folder; this goes on while the layer is opened.
   * @param said the diff ID that the whole tar must have; null: the one that the folder remembers, if any. The ztoc's
   * digest, to which a proof of the tar is tied. A file with all of the tar, which was proven: see `putWholeData`.
   */
  static begin(
    path: string,
    { isNew, files }: NewFiles,
    said: {
      readonly diffId: Digest | null;
      readonly ztocDigest: string;
      readonly data?: string | undefined;
    },
    saver: LayerSaver,
  ): BegunFolder {
    const { data, diffId, ztocDigest } = said;
    if (data !== undefined) {
      putWholeData(
        path,
        data,
        diffId === null ? "" : sumOfProof(diffId, ztocDigest),
        isNew ? "new" : "used",
      );
    }
    const known = {
      ...knownDiffId(path, isNew, said),
      isProvenNow: said.data !== undefined,
    };
    const bytes = new TextEncoder().encode(checkedLine(known.diffId ?? ""));
    const all = known.isNew ? [...files, { name: "diff-id", bytes }] : files;
    return { known, saved: saver.save(path, all) };
  }

  /** Opens a folder whose parts were made. @throws OsError */
  static open(
    path: string,
    parts: FolderParts,
    begun: BegunFolder,
  ): LayerFolder {
    using opened = new DisposableStack();
    const headers = parts.headers === null
      ? null
      : opened.use(HeaderTable.over(`${path}/headers`, parts.headers));
    const folder = new LayerFolder(path, parts, begun, headers);
    opened.move();
    return folder;
  }

  /**
   * Opens the span map and sets `presence` from it.
   * @param bootId the machine's current boot ID.
   * @param owner names the layer and its ztoc: the map of another one is damage.
   * @throws OsError
   */
  openMap(presence: Uint8Array, bootId: string, owner: string): SpanMap {
    const map = SpanMap.open(`${this.path}/spans`, presence, {
      bootId,
      trusted: this.#isDataOld,
      owner,
    });
    if (this.#isProvenNow) {
      for (let span = 0; span < this.spans.count; span++) map.mark(span, 0);
      this.#isChecked = true; // the mark of the data says so
    }
    return map;
  }

  /** Null: headers are not checked; or not yet, where no span can come before the rest of the ztoc does. */
  get headers(): HeaderTable | null {
    return this.#headers;
  }

  /**
   * Takes the ztoc, where the folder was opened by its head alone, and what `makeRest` made of it. Its buffer is the
   * folder's from then on.
   * @throws OsError
   */
  putZtoc(
    bytes: Uint8Array<ArrayBuffer>,
    { windows, headers }: ZtocRest,
    saver: LayerSaver,
  ): void {
    if (headers !== null) {
      this.#headers?.[Symbol.dispose]();
      this.#headers = HeaderTable.over(`${this.path}/headers`, headers);
    }
    this.spans.putWindows(windows);
    this.#ztocSaved = saver.save(this.path, [
      { name: "ztoc", bytes, isSole: true },
    ]);
    this.#ztocSaved.catch((error) =>
      log.warn("a ztoc could not be saved, the next start asks for it", {
        folder: this.path,
        error: String(error),
      })
    );
  }

  /** Reads the file tree from disk. @throws Error when it is missing or damaged. */
  readTree(): LayerTree {
    return readTree(this.path);
  }

  /** Whether the whole tar was found to have its diff ID, in this run or an earlier one. */
  get isChecked(): boolean {
    return this.#isChecked;
  }

  /** Whether the file of headers is as it was made. */
  get areHeadersWhole(): boolean {
    return this.#headers?.isWhole(`${this.path}/headers`) ?? true;
  }

  /** Bytes of `data` are not those that an earlier process wrote: that is told once. */
  tellChangedData(): void {
    if (this.#isDamageTold) return;
    this.#isDamageTold = true;
    tellStateDamage({
      path: `${this.path}/data`,
      found:
        "bytes of a span have another checksum than when they were written",
      then: "the spans that were changed are fetched again",
    });
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

  /** Makes the marks of present spans outlive the machine, as far as the disk takes them. */
  syncNow(map: SpanMap): void {
    try {
      map.syncNow(this.dataFd);
    } catch (error) {
      // Marks that were not synced are not trusted after a reboot.
      log.warn("cache could not be synced", {
        folder: this.path,
        error: String(error),
      });
    }
  }

  /**
   * Frees the disk blocks of `data` at once, because a FUSE Worker may keep the file open after it is unlinked. What
   * the kernel reads by itself it may read on: those blocks are free when nobody has the file open.
   */
  async emptyData(): Promise<void> {
    if (this.staysWhole) return;
    try {
      await emptyElsewhere(this.dataFd);
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
    await this.#ztocSaved.catch(() => {}); // was told
  }

  /** Removes the folder once nothing writes into it. Its open files stay open. */
  async remove(): Promise<void> {
    await this.settled();
    await removeFolderElsewhere(`${this.path}/data`); // first: it has the most of the disk space
    await removeFolderElsewhere(this.path);
  }

  /** Closes the open files; nobody may be using them. */
  [Symbol.dispose](): void {
    this.#headers?.[Symbol.dispose]();
    closeFd(this.dataFd);
  }
}

/** What is known of the whole tar. */
export interface KnownDiffId {
  /** What it must be; null when nobody knows. */
  readonly diffId: Digest | null;
  /** Of the ztoc, to which a proof of the tar is tied. */
  readonly ztocDigest: string;
  /** Whether it still has to be written into the folder. */
  readonly isNew: boolean;
  /** Whether it was seen to be that. */
  readonly isChecked: boolean;
  /** Whether all of it was proven before the layer was first shown. */
  readonly isWhole: boolean;
  /** Whether that is now. */
  readonly isProvenNow: boolean;
}

/** The diff ID from the caller or the folder, and whether the tar was found to have it. */
function knownDiffId(
  path: string,
  isNewFolder: boolean,
  said: { readonly diffId: Digest | null; readonly ztocDigest: string },
): Omit<KnownDiffId, "isProvenNow"> {
  const { ztocDigest } = said;
  // Empty: the machine lost power before it was on disk.
  const line = (isNewFolder ? null : readTextIfThere(`${path}/diff-id`)) ||
    null;
  const written = line === null ? null : diffIdIn(path, line);
  if (line !== null && written === null) {
    tellStateDamage({
      path: `${path}/diff-id`,
      found: "its checksum is another one",
      then: said.diffId === null
        ? "the layer is compared as a whole once an image with it is pulled again"
        : "it is written again",
    });
  }
  const diffId = said.diffId ?? (isDigest(written) ? written : null);
  const whole = provenWhole(path);
  const sum = diffId === null ? null : sumOfProof(diffId, ztocDigest);
  return {
    diffId,
    ztocDigest,
    isNew: diffId !== null && line !== checkedLine(diffId),
    isWhole: whole !== null,
    isChecked: sum !== null && !isNewFolder && (
      whole === sum || readTextIfThere(`${path}/checked`) === diffId &&
        readTextIfThere(`${path}/checked-sum`) === sum
    ),
  };
}

/** Ties what the tar was found to be to the ztoc it came by. */
function sumOfProof(diffId: Digest, ztocDigest: string): Digest {
  return sha256(new TextEncoder().encode(`${diffId} ${ztocDigest}`));
}

/**
 * What the file says; null when it cannot be trusted. Older releases wrote the digest alone, and no record of the slot
 * beside it.
 */
function diffIdIn(path: string, line: string): string | null {
  const isOld = statIfThere(`${path}/${SLOT_RECORD}`) === null;
  return textOfLine(line) ?? (isOld && isDigest(line) ? line : null);
}

/** On a read-only disk what is here can be read. @throws OsError */
function openData(path: string): number {
  try {
    return openFd(path, O.RDWR | O.CREAT);
  } catch (error) {
    if (!(error instanceof OsError) || error.errno !== ERRNO.EROFS) throw error;
    return openFd(path, O.RDONLY);
  }
}
