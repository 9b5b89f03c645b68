"""Writes seeded random gzip files of one or more members with Python's zlib, in ways no command does.

Usage: gzip_maker.py FOLDER COUNT. For each file: N.gz, and one JSON line on stdout.
"""
import hashlib, json, random, sys, zlib

def content(rng):
    parts = []
    for _ in range(rng.randint(0, 8)):
        kind = rng.randint(0, 3)
        if kind == 0:
            parts.append(rng.randbytes(rng.randint(0, 40_000)))
        elif kind == 1:
            parts.append(bytes([rng.randint(0, 255)]) * rng.randint(0, 300_000))
        elif kind == 2:
            unit = rng.randbytes(rng.randint(1, 40))
            parts.append(unit * rng.randint(1, 3000))
        else:
            words = [rng.randbytes(rng.randint(2, 9)) for _ in range(50)]
            parts.append(b"".join(rng.choice(words) for _ in range(8000)))
    return b"".join(parts)

def member(rng):
    data = content(rng)
    level = rng.randint(0, 9)
    strategy = rng.choice([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY,
                           zlib.Z_RLE, zlib.Z_FIXED])
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + rng.randint(9, 15),
                              rng.randint(1, 9), strategy)
    out, at = [], 0
    while at < len(data):
        step = rng.choice([len(data), rng.randint(1, 200_000), rng.randint(1, 5000)])
        out.append(packer.compress(data[at:at + step]))
        at += step
        flush = rng.choice([zlib.Z_NO_FLUSH] * 3 + [zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH,
                                                     zlib.Z_FULL_FLUSH, zlib.Z_BLOCK])
        if flush != zlib.Z_NO_FLUSH:
            out.append(packer.flush(flush))
    out.append(packer.flush(zlib.Z_FINISH))
    return data, b"".join(out)

def main():
    folder, count = sys.argv[1], int(sys.argv[2])
    for number in range(count):
        rng = random.Random(number)
        members = [member(rng) for _ in range(rng.randint(1, 5))]
        plain = b"".join(data for data, _ in members)
        with open("%s/%d.gz" % (folder, number), "wb") as file:
            file.write(b"".join(packed for _, packed in members))
        print(json.dumps({"size": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}))

main()
