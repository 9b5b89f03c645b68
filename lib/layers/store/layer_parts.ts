import { type Digest, sha256 } from "../../formats/oci/mod.ts";
import {
  openSpans,
  openZtoc,
  type SpanFacts,
  spanFacts,
  type WindowFacts,
  type ZtocEntry,
} from "../../formats/ztoc/mod.ts";
import {
  makeFolderHere,
  readIfThere,
  removeIfThere,
} from "../../host/files/mod.ts";
import {
  type HeaderIndex,
  makeHeaderFile,
  readHeaderFile,
} from "../spans/mod.ts";
import { LayerTree } from "../tree/mod.ts";
import { LostZtocError } from "./errors.ts";
import {
  compileZtoc,
  holds,
  type NewFile,
  type NewFiles,
  openTree,
} from "./layer_files.ts";

/** Files whose entries take some MiB. */
const SHORT_LIST = 8192;

/** Where the ztoc of a layer is. Plain data. */
export type ZtocPlace =
  /** Here; its digest was checked. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** Its head alone is here (`ZtocParts`), on the word of the image. */
  | { readonly kind: "head"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** In the layer's folder, if it has that digest. */
  | { readonly kind: "folder"; readonly digest: Digest };

/** What a layer's parts are made of. Plain data. */
export interface PartsOrder {
  /** Of the layer's folder; made when it is missing. */
  readonly path: string;
  /** By what the layer is served. */
  readonly ztoc: ZtocPlace;
  /** Whether tar headers are compared with the ztoc as they come. */
  readonly headers: "checked" | "trusted";
  /**
   * Which trees on disk are used: those of this release's rules, or `any`, because the kernel knows
   * their numbers from the process before.
   */
  readonly trees: "current" | "any";
}

/** The rest of a ztoc by whose head a layer was opened. Plain data. */
export interface RestOrder {
  /** Of the layer's folder. */
  readonly path: string;
  /** The ztoc; its digest was checked. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** As in `PartsOrder`. */
  readonly headers: "checked" | "trusted";
}

/** What only readers of the layer's own bytes need of its ztoc. Plain data. */
export interface ZtocRest {
  /** What lies before each span. */
  readonly windows: WindowFacts;
  /** Where the records of headers are; null: headers are not checked. */
  readonly headers: HeaderIndex | null;
}

/** What a layer is opened with. */
export interface LayerParts {
  /** Where the spans are, and how the blob is packed. */
  readonly spans: SpanFacts;
  /** In memory, apart from the folder. */
  readonly tree: LayerTree;
  /** Where the records of headers are; null: headers are not checked, or not before the rest of the ztoc is here. */
  readonly headers: HeaderIndex | null;
}

/**
 * Makes what a layer's folder holds of its ztoc: the tree and the table of headers. A file that is
 * there and whole is read instead; one that is missing, torn or of another version is made again, and
 * all are where the folder has no ztoc that they could be of: they may be of a head that was false. Of a head the
 * table is made later: see `makeRest`. Takes
 * a microsecond or more for each file of the layer, so it comes in steps, and large ones are made in a
 * Worker.
 * @param onFiles called once, as soon as it is known what is to be put on disk; the bytes are read still.
 * @throws ZtocError, TreeCompileError, LostZtocError, FileError
 */
export function* makeParts(
  order: PartsOrder,
  onFiles: (files: NewFiles) => void,
): Generator<void, LayerParts, void> {
  const { path, headers } = order;
  const ztocBytes = ztocAt(path, order.ztoc);
  const { entries: readEntries, entryCount, ...head } = openZtoc(ztocBytes);
  // A short list is read once for both, a long one would take several times its ztoc's memory.
  let list: ZtocEntry[] | undefined;
  const entries = () =>
    entryCount > SHORT_LIST ? readEntries() : list ??= [...readEntries()];
  const { kind } = order.ztoc;
  const spans = spanFacts(head, {
    windows: kind === "head" ? "left out" : "copied",
  });
  const table = openSpans(spans);
  const isNew = makeFolderHere(path, 0o700);
  const hasZtoc = kind === "folder" ||
    (kind === "bytes" && !isNew && holds(`${path}/ztoc`, ztocBytes));
  if (!isNew && !hasZtoc) {
    for (const name of ["ztoc", "tree", "headers"]) {
      removeIfThere(`${path}/${name}`);
    }
  }
  yield;
  const files: NewFile[] = [];
  let tree = isNew ? null : openTree(`${path}/tree`, order.trees);
  if (tree === null) {
    const some = entries();
    yield;
    const bytes = compileZtoc({ ...head, entries: some }, table);
    files.push({ name: "tree", bytes });
    tree = new LayerTree(bytes);
  }
  if (kind === "bytes" && !hasZtoc) {
    files.push({ name: "ztoc", bytes: ztocBytes });
  }
  onFiles({ isNew, files });
  yield;
  if (headers === "trusted" || kind === "head") {
    return { spans, tree, headers: null };
  }
  const file = `${path}/headers`;
  const known = isNew ? null : readHeaderFile(file, spans.count);
  return {
    spans,
    tree,
    headers: known ??
      makeHeaderFile(file, { ...head, entries: entries() }, table),
  };
}

/**
 * Makes what was left out of a folder that was opened by a head, of the ztoc. @throws ZtocError, FileError
 */
export function* makeRest(
  { path, bytes, headers }: RestOrder,
): Generator<void, ZtocRest, void> {
  const { entries, ...head } = openZtoc(bytes);
  const spans = spanFacts(head, { windows: "copied" });
  const { windows } = spans;
  yield;
  if (headers === "trusted") return { windows, headers: null };
  const source = { ...head, entries: entries() };
  const index = makeHeaderFile(`${path}/headers`, source, openSpans(spans));
  return { windows, headers: index };
}

/** @throws LostZtocError, FileError */
function ztocAt(path: string, place: ZtocPlace): Uint8Array<ArrayBuffer> {
  if (place.kind !== "folder") return place.bytes;
  const bytes = readIfThere(`${path}/ztoc`);
  if (bytes !== null && sha256(bytes) === place.digest) return bytes;
  throw new LostZtocError(path);
}
