import { crc32 } from "../crc32/mod.ts";
import {
  BLOCK,
  BLOCK_BITS,
  COMPAT_MTIME,
  DEVICE,
  DEVICE_SLOT_AT,
  DEVICE_SLOT_BYTES,
  INCOMPAT_CHUNKED_FILE,
  INCOMPAT_DEVICE_TABLE,
  INODES_AT,
  MAGIC,
  NID_BYTES,
  SUPERBLOCK,
  SUPERBLOCK_AT,
} from "./format.ts";
import type { ErofsSource } from "./tree.ts";

/** Raised whenever the same tree would give another image. */
const WRITER_VERSION = 3;
const VOLUME_NAME = "soci-deno";
const VOLUME_NAME_BYTES = 16;
// We store our own fields in the 16 bytes of the UUID, which only has to differ between images.
const UUID_VERSION = 0;
const UUID_TREE = 4;
const UUID_CHECKSUM = 8;
const UUID_LENGTH = 12;

/**
 * Writes superblock and device slot of an image whose inodes are in place. As the format requires, the
 * device has an address after the image's own blocks, but nothing uses it.
 */
export function writeSuperblock(
  image: Uint8Array<ArrayBuffer>,
  { inodes, blobBytes, treeChecksum, volume = VOLUME_NAME }:
    & ErofsSource
    & { inodes: number },
): void {
  const blocks = image.length / BLOCK;
  const device = new DataView(image.buffer, DEVICE_SLOT_AT, DEVICE_SLOT_BYTES);
  device.setUint32(DEVICE.blocks, blobBytes / BLOCK, true);
  device.setUint32(DEVICE.address, blocks, true);

  const view = new DataView(image.buffer, SUPERBLOCK_AT, BLOCK);
  view.setUint32(SUPERBLOCK.magic, MAGIC, true);
  // Not the superblock's own checksum: it is worth little beside ours, and erofs-utils before 1.9
  // crash over it when blocks are smaller than 1024 bytes.
  view.setUint32(SUPERBLOCK.featureCompat, COMPAT_MTIME, true);
  view.setUint8(SUPERBLOCK.blockBits, BLOCK_BITS);
  view.setUint16(SUPERBLOCK.rootNid, INODES_AT / NID_BYTES, true);
  view.setUint32(SUPERBLOCK.inodes, inodes, true);
  view.setUint32(SUPERBLOCK.blocks, blocks, true);
  view.setUint32(
    SUPERBLOCK.featureIncompat,
    INCOMPAT_DEVICE_TABLE | INCOMPAT_CHUNKED_FILE,
    true,
  );
  view.setUint16(SUPERBLOCK.extraDevices, 1, true);
  view.setUint16(
    SUPERBLOCK.deviceSlot,
    DEVICE_SLOT_AT / DEVICE_SLOT_BYTES,
    true,
  );
  new TextEncoder().encodeInto(
    volume.slice(0, VOLUME_NAME_BYTES),
    image.subarray(SUPERBLOCK_AT + SUPERBLOCK.volumeName),
  );
  view.setUint32(SUPERBLOCK.uuid + UUID_VERSION, WRITER_VERSION, true);
  view.setUint32(SUPERBLOCK.uuid + UUID_TREE, treeChecksum, true);
  view.setUint32(SUPERBLOCK.uuid + UUID_LENGTH, image.length, true);
  view.setUint32(SUPERBLOCK.uuid + UUID_CHECKSUM, checksum(image), true);
}

/** Whether the bytes are a whole image, made by this writer from that tree and for that blob. */
export function isErofsImageOf(
  image: Uint8Array<ArrayBuffer>,
  { blobBytes, treeChecksum }: ErofsSource,
): boolean {
  if (image.length <= INODES_AT || image.length % BLOCK !== 0) return false;
  const view = new DataView(
    image.buffer,
    image.byteOffset + SUPERBLOCK_AT,
    BLOCK,
  );
  const word = (at: number) => view.getUint32(at, true);
  return word(SUPERBLOCK.magic) === MAGIC &&
    word(SUPERBLOCK.uuid + UUID_VERSION) === WRITER_VERSION &&
    word(SUPERBLOCK.uuid + UUID_TREE) === treeChecksum >>> 0 &&
    word(SUPERBLOCK.uuid + UUID_LENGTH) === image.length &&
    word(DEVICE_SLOT_AT - SUPERBLOCK_AT + DEVICE.blocks) ===
      blobBytes / BLOCK &&
    word(SUPERBLOCK.uuid + UUID_CHECKSUM) === checksum(image);
}

/** CRC-32 of the whole image but for the word that holds it. */
function checksum(image: Uint8Array): number {
  const at = SUPERBLOCK_AT + SUPERBLOCK.uuid + UUID_CHECKSUM;
  const before = crc32(image.subarray(0, at));
  return crc32(image.subarray(at + 4), before);
}
