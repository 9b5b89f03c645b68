export { S } from "../../formats/erofs/mod.ts";

/** The kernel's 32-bit device number (`new_encode_dev`, linux/kdev_t.h). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) |
    ((minor & ~0xff) << 12)) >>> 0;
}
