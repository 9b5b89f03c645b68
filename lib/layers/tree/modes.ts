/** File type bits of `st_mode` (uapi/linux/stat.h). */
export const S = {
  IFMT: 0o170000,
  IFREG: 0o100000,
  IFDIR: 0o040000,
  IFLNK: 0o120000,
  IFCHR: 0o020000,
  IFBLK: 0o060000,
  IFIFO: 0o010000,
} as const;

/** The kernel's 32-bit device number (`new_encode_dev`, linux/kdev_t.h). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) |
    ((minor & ~0xff) << 12)) >>> 0;
}
