/** File type bits of an inode's mode, on disk, in FUSE and in `st_mode` alike (uapi/linux/stat.h). */
export const S = {
  IFMT: 0o170000,
  IFREG: 0o100000,
  IFDIR: 0o040000,
  IFLNK: 0o120000,
  IFCHR: 0o020000,
  IFBLK: 0o060000,
  IFIFO: 0o010000,
} as const;
