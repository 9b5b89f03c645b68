import { FlatBufferWriter } from "./flatbuffer_writer.ts";
import type { Ztoc, ZtocEntry } from "./model.ts";
import { ALGORITHM, COMPRESSION, FILE, TOC, XATTR, ZTOC } from "./schema.ts";

/**
 * Writes a ztoc: the same bytes as the existing tools write for the same content, as every call here
 * comes in their order.
 */
export function encodeZtoc(ztoc: Ztoc): Uint8Array<ArrayBuffer> {
  const writer = new FlatBufferWriter(
    ztoc.checkpoints.length + 256 * ztoc.entries.length + 4096,
  );
  const text = (value: string) => writer.text(value);
  const version = text(ztoc.version);
  const buildTool = text(ztoc.buildTool);

  const files: number[] = new Array(ztoc.entries.length);
  for (let i = files.length - 1; i >= 0; i--) {
    files[i] = encodeEntry(writer, ztoc.entries[i]!);
  }
  const metadata = writer.vector(files);
  writer.startTable();
  writer.addReference(TOC.metadata, metadata);
  const toc = writer.endTable();

  const checkpoints = writer.byteVector(ztoc.checkpoints);
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
