import { FlatBufferWriter } from "./flatbuffer_writer.ts";
import type { Ztoc, ZtocEntry } from "./model.ts";
import { type BlobWriter, writerOf } from "./pass.ts";
import { ALGORITHM, COMPRESSION, FILE, TOC, XATTR, ZTOC } from "./schema.ts";

/** A ztoc whose large parts are given one by one, so that they need not all be in memory twice. */
export interface ZtocSource extends Omit<Ztoc, "entries" | "checkpoints"> {
  readonly entries: {
    readonly length: number;
    /** See `mostEntryBytes`; the sum over all. */
    readonly mostBytes: number;
    get(index: number): ZtocEntry;
  };
  readonly checkpoints: BlobWriter;
}

/**
 * Writes a ztoc: the same bytes as the existing tools write for the same content, as every call here
 * comes in their order.
 */
export function encodeZtoc(ztoc: Ztoc): Uint8Array<ArrayBuffer> {
  const { entries, checkpoints } = ztoc;
  return encodeZtocSource({
    ...ztoc,
    entries: {
      length: entries.length,
      mostBytes: entries.reduce(
        (sum, entry) =>
          sum + mostEntryBytes({ ...entry, records: entry.xattrs }),
        0,
      ),
      get: (index) => entries[index]!,
    },
    checkpoints: writerOf(checkpoints),
  });
}

/** Like {@link encodeZtoc}. A large result may be a view of a buffer a little larger. */
export function encodeZtocSource(ztoc: ZtocSource): Uint8Array<ArrayBuffer> {
  // Enough, so that the writer need not grow, which copies everything.
  const writer = new FlatBufferWriter(
    FIXED_BYTES + ztoc.entries.mostBytes + ztoc.checkpoints.length +
      96 * ztoc.spanDigests.length,
  );
  const text = (value: string) => writer.text(value);
  const version = text(ztoc.version);
  const buildTool = text(ztoc.buildTool);

  const files: number[] = new Array(ztoc.entries.length);
  for (let i = files.length - 1; i >= 0; i--) {
    files[i] = encodeEntry(writer, ztoc.entries.get(i));
  }
  const metadata = writer.vector(files);
  writer.startTable();
  writer.addReference(TOC.metadata, metadata);
  const toc = writer.endTable();

  const checkpoints = writer.byteVector(
    ztoc.checkpoints.length,
    (into) => ztoc.checkpoints.write(into),
  );
  const digests = writer.vector(ztoc.spanDigests.map(text));
  writer.startTable();
  writer.addInt32(COMPRESSION.maxSpanId, ztoc.spanDigests.length - 1);
  writer.addReference(COMPRESSION.spanDigests, digests);
  writer.addReference(COMPRESSION.checkpoints, checkpoints);
  writer.addByte(
    COMPRESSION.algorithm,
    ALGORITHM[ztoc.compression],
    ALGORITHM.gzip,
  );
  const compression = writer.endTable();

  writer.startTable();
  writer.addReference(ZTOC.version, version);
  writer.addReference(ZTOC.buildTool, buildTool);
  writer.addReference(ZTOC.toc, toc);
  writer.addInt64(ZTOC.compressedSize, ztoc.compressedSize);
  writer.addInt64(ZTOC.uncompressedSize, ztoc.uncompressedSize);
  writer.addReference(ZTOC.compression, compression);
  return writer.finish(writer.endTable());
}

/** Of strings: length, terminator and padding; of tables: all fields, padded, and a reference. */
const STRING_OVERHEAD = 8;
const ENTRY_OVERHEAD = 6 * STRING_OVERHEAD + 128;
const RECORD_OVERHEAD = 2 * STRING_OVERHEAD + 24;
/** Type and time. */
const TEXT_BYTES = 48;
/** Every vtable that can occur, and what is there once. */
const FIXED_BYTES = 64 * 1024;

/** The most bytes that an entry takes in a ztoc. */
export function mostEntryBytes(entry: {
  readonly name: Uint8Array;
  readonly linkname: Uint8Array;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
  readonly records: ZtocEntry["xattrs"];
}): number {
  const { name, linkname, uname, gname, records } = entry;
  let bytes = ENTRY_OVERHEAD + TEXT_BYTES + name.length + linkname.length +
    uname.length + gname.length;
  for (const [key, value] of records) {
    bytes += RECORD_OVERHEAD + key.length + value.length;
  }
  return bytes;
}

function encodeEntry(writer: FlatBufferWriter, entry: ZtocEntry): number {
  const name = writer.string(entry.name);
  const type = writer.text(entry.type);
  const linkname = writer.string(entry.linkname);
  const uname = writer.string(entry.uname);
  const gname = writer.string(entry.gname);
  const modTime = writer.text(entry.modTime);
  const xattrs = writer.vector(entry.xattrs.map(([key, value]) => {
    const keyOffset = writer.string(key);
    const valueOffset = writer.string(value);
    writer.startTable();
    writer.addReference(XATTR.key, keyOffset);
    writer.addReference(XATTR.value, valueOffset);
    return writer.endTable();
  }));
  writer.startTable();
  writer.addReference(FILE.name, name);
  writer.addReference(FILE.type, type);
  writer.addInt64(FILE.offset, entry.offset);
  writer.addInt64(FILE.size, entry.size);
  writer.addReference(FILE.linkname, linkname);
  writer.addInt64(FILE.mode, entry.mode);
  writer.addInt32(FILE.uid, entry.uid);
  writer.addInt32(FILE.gid, entry.gid);
  writer.addReference(FILE.uname, uname);
  writer.addReference(FILE.gname, gname);
  writer.addReference(FILE.modTime, modTime);
  writer.addInt64(FILE.devMajor, entry.devMajor);
  writer.addInt64(FILE.devMinor, entry.devMinor);
  writer.addReference(FILE.xattrs, xattrs);
  return writer.endTable();
}
