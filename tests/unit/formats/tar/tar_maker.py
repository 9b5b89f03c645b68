"""Writes seeded random tar archives with Python's tarfile, and what it reads back from them.

Usage: tar_maker.py FOLDER COUNT. For each archive: N.tar and one JSON line on stdout.
"""
import io, json, random, sys, tarfile

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
TYPES = {
    tarfile.REGTYPE: "reg", tarfile.AREGTYPE: "reg", tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo",
}

def raw(text):
    return text.encode("utf-8", "surrogateescape").hex()

def name(rng, fmt):
    longest = 90 if fmt == tarfile.USTAR_FORMAT else 700
    length = rng.choice([1, 5, 90, 99, 100, 101, 155, 256, rng.randint(1, 700)])
    length = min(length, longest)
    letters = "abcXYZ-_. %" if fmt == tarfile.USTAR_FORMAT else "abcXYZ-_. %äß日"
    if fmt == tarfile.GNU_FORMAT:
        letters += "\udcff\udc80"
    text = "".join(rng.choice(letters) for _ in range(length))
    return text.strip(" ") or "x"

def member(rng, fmt):
    info = tarfile.TarInfo(name(rng, fmt))
    kinds = [t for t in TYPES if t != tarfile.AREGTYPE]
    info.type = rng.choice(kinds + [tarfile.REGTYPE] * 6)
    info.mode = rng.randint(0, 0o7777)
    wide = fmt != tarfile.USTAR_FORMAT
    info.uid = rng.choice([0, 1000, 0o7777777, 2**31 if wide else 7, 2**40 if wide else 8])
    info.gid = rng.choice([0, 50, 2**32 - 1 if wide else 9])
    info.uname, info.gname = rng.choice(["", "root", "u" * 31]), rng.choice(["", "wheel"])
    info.mtime = rng.choice([0, 1, 1700000000, 2**33 - 1, 2**34 if wide else 5])
    if fmt == tarfile.GNU_FORMAT:
        info.mtime = rng.choice([info.mtime, -5])
    if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = name(rng, fmt)
    if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = rng.randint(0, 255), rng.randint(0, 2**20)
    if fmt == tarfile.PAX_FORMAT and rng.random() < 0.4:
        info.pax_headers = {
            "SCHILY.xattr.user.k%d" % i: "v" * rng.randint(1, 2000)
            for i in range(rng.randint(1, 5))
        }
        info.pax_headers["mtime"] = rng.choice(["12.5", "99.000000001", "7"])
    return info

def main():
    folder, count = sys.argv[1], int(sys.argv[2])
    for number in range(count):
        rng = random.Random(number)
        fmt = FORMATS[number % 3]
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=fmt, encoding="utf-8",
                          errors="surrogateescape") as tar:
            for _ in range(rng.randint(0, 12)):
                info = member(rng, fmt)
                data = b""
                if info.type == tarfile.REGTYPE:
                    data = rng.randbytes(rng.choice([0, 1, 511, 512, 513, 5000]))
                    info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        blob = out.getvalue()
        with open("%s/%d.tar" % (folder, number), "wb") as file:
            file.write(blob)
        with tarfile.open(fileobj=io.BytesIO(blob), encoding="utf-8",
                          errors="surrogateescape") as tar:
            entries = [{
                "name": raw(m.name), "type": TYPES[m.type],
                "linkname": raw(m.linkname), "offset": m.offset_data,
                "headerOffset": m.offset, "size": m.size, "mode": m.mode,
                "uid": m.uid, "gid": m.gid, "uname": raw(m.uname),
                "gname": raw(m.gname), "mtime": m.mtime,
                "devMajor": m.devmajor, "devMinor": m.devminor,
                "pax": {raw(k): raw(v) for k, v in m.pax_headers.items()},
            } for m in tar]
            end = tar.offset
        print(json.dumps({"format": fmt, "entries": entries, "end": end}))

main()
