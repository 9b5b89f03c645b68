"""Uses a mounted tree and prints one JSON object of figures. Its own costs are the same for all.

usage: fuse_client.py ROOT SEED MEASURE...
"""

import json
import mmap
import os
import random
import subprocess
import sys
import time

BLOCK = 4096
RANDOM_READS = 40_000


def stat():
    """Stats of every small file by its name, in a scattered order: one LOOKUP each."""
    names = [f"d{d}/f{f}" for d in range(500) for f in range(100)]
    random.shuffle(names)
    start = time.perf_counter()
    for name in names:
        os.lstat(name)
    return len(names) / (time.perf_counter() - start)


def walk():
    """Files a second of listing every directory and asking for everything, as `find -ls` does."""
    start = time.perf_counter()
    count = 0
    for directory in os.listdir("."):
        if directory == "big":
            continue
        for entry in os.scandir(directory):
            entry.stat(follow_symlinks=False)
            count += 1
    return count / (time.perf_counter() - start)


def sequential():
    """MB/s of reading the big file from its beginning."""
    buffer = bytearray(1 << 20)
    done = 0
    start = time.perf_counter()
    with open("big", "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            done += count
    return done / 1e6 / (time.perf_counter() - start)


def scattered():
    """4 KiB reads a second at different scattered places of the big file."""
    file = os.open("big", os.O_RDONLY)
    pages = os.fstat(file).st_size // BLOCK
    places = random.sample(range(pages), RANDOM_READS)
    buffer = bytearray(BLOCK)
    start = time.perf_counter()
    for page in places:
        os.preadv(file, [buffer], page * BLOCK)
    return RANDOM_READS / (time.perf_counter() - start)


def mapped():
    """MB/s of copying the big file out of a mapping, from its beginning: page faults."""
    step = 1 << 20
    with open("big", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        start = time.perf_counter()
        for at in range(0, len(view), step):
            view[at : at + step]
        return len(view) / 1e6 / (time.perf_counter() - start)


def find():
    """Entries a second of `find -ls`."""
    start = time.perf_counter()
    listed = subprocess.run(["find", ".", "-ls"], stdout=subprocess.PIPE, check=True)
    return listed.stdout.count(b"\n") / (time.perf_counter() - start)


MEASURES = {
    "find": find,
    "stat": stat,
    "walk": walk,
    "sequential": sequential,
    "scattered": scattered,
    "mapped": mapped,
}

os.chdir(sys.argv[1])
random.seed(int(sys.argv[2]))
print(json.dumps({name: MEASURES[name]() for name in sys.argv[3:]}))
