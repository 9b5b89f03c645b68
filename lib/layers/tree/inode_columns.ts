import { grown } from "./name_table.ts";

/** Facts of the inodes of a tree that is put together, in columns. */
export class InodeColumns {
  count = 0;
  mode = new Uint32Array(1 << 12);
  uid = new Uint32Array(1 << 12);
  gid = new Uint32Array(1 << 12);
  /** Device number; of a directory, whose facts it has (`DIRECTORY`). */
  rdev = new Uint32Array(1 << 12);
  mtimeNanos = new Uint32Array(1 << 12);
  /** Name number of a symlink's target. */
  target = new Uint32Array(1 << 12);
  size = new Float64Array(1 << 12);
  dataOffset = new Float64Array(1 << 12);
  mtimeSeconds = new Float64Array(1 << 12);

  /** Number of a new inode, whose facts are all zero. */
  add(): number {
    const inode = this.count++;
    if (inode === this.mode.length) {
      this.mode = grown(this.mode, 0);
      this.uid = grown(this.uid, 0);
      this.gid = grown(this.gid, 0);
      this.rdev = grown(this.rdev, 0);
      this.mtimeNanos = grown(this.mtimeNanos, 0);
      this.target = grown(this.target, 0);
      this.size = grown(this.size, 0);
      this.dataOffset = grown(this.dataOffset, 0);
      this.mtimeSeconds = grown(this.mtimeSeconds, 0);
    }
    return inode;
  }
}
