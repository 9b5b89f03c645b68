import { grown } from "./name_table.ts";

/** The inodes of a tree while it is built, as one column per field. */
export class InodeColumns {
  count = 0;
  mode = new Uint32Array(1 << 12);
  uid = new Uint32Array(1 << 12);
  gid = new Uint32Array(1 << 12);
  /** A device's number; for a directory, its `DIRECTORY` value. */
  rdev = new Uint32Array(1 << 12);
  mtimeNanos = new Uint32Array(1 << 12);
  /** A symlink's target, as a number in the name table. */
  target = new Uint32Array(1 << 12);
  size = new Float64Array(1 << 12);
  dataOffset = new Float64Array(1 << 12);
  mtimeSeconds = new Float64Array(1 << 12);

  /** Adds an inode with all fields zero. Returns its number. */
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
