"""Writes one JSON line for every entry under a directory, names as raw bytes.

Nothing is followed: symbolic links are read, mount points below are entered like directories.
Arguments: the root; prefixes of extended attribute names to leave out.
"""

import hashlib
import errno
import json
import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def text(raw):
    """Printable ASCII as it is, every other byte and the backslash as \\xNN."""
    return "".join(
        chr(b) if 0x20 <= b < 0x7F and b != 0x5C else "\\x%02x" % b for b in raw
    )


def digest(path):
    sum = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            sum.update(chunk)
    return sum.hexdigest()


def describe(path, name, ignored):
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        # overlayfs lists a whiteout in a directory that only one layer has, but finds nothing there
        gone = dict(mode=0, uid=0, gid=0, size=0, mtime="0", nlink=0, xattrs={})
        return {"path": text(name), "type": "ghost", "inode": text(name), **gone}, None
    kind = KINDS[stat.S_IFMT(info.st_mode)]
    entry = {
        "path": text(name),
        "type": kind,
        "mode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        # a directory's size is the file system's own affair
        "size": 0 if kind == "dir" else info.st_size,
        "mtime": str(info.st_mtime_ns),
        "nlink": info.st_nlink,
        # overlayfs over several file systems keeps their device numbers
        "inode": "%d:%d" % (info.st_dev, info.st_ino),
        "xattrs": {},
    }
    if kind in ("char", "block"):
        entry["device"] = "%d:%d" % (os.major(info.st_rdev), os.minor(info.st_rdev))
    if kind == "symlink":
        entry["target"] = text(os.readlink(path))
    if kind == "file":
        entry["sha256"] = digest(path)
    for attribute in sorted(list_attributes(path)):
        if not attribute.startswith(ignored):
            value = os.getxattr(path, attribute, follow_symlinks=False)
            entry["xattrs"][attribute] = value.hex()
    return entry, kind


def list_attributes(path):
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        # A file system without attributes: none, as for every tool that copies or lists files.
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def walk(path, name, ignored):
    entry, kind = describe(path, name, ignored)
    print(json.dumps(entry))
    if kind == "dir":
        for child in sorted(os.listdir(path)):
            walk(path + b"/" + child, child if name == b"." else name + b"/" + child, ignored)


if __name__ == "__main__":
    sys.setrecursionlimit(100_000)
    walk(os.fsencode(sys.argv[1]), b".", tuple(sys.argv[2:]))
