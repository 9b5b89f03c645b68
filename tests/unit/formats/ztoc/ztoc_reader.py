"""Reads ztocs with a FlatBuffers reader of its own, straight from the format's documentation.

Usage: ztoc_reader.py FILE...  One JSON line for each.
"""
import json, struct, sys

class Table:
    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.size = struct.unpack_from("<H", data, self.vtable)[0]

    def place(self, slot):
        entry = 4 + 2 * slot
        if entry >= self.size:
            return None
        offset = struct.unpack_from("<H", self.data, self.vtable + entry)[0]
        return self.at + offset if offset else None

    def number(self, slot, form, otherwise=0):
        at = self.place(slot)
        if at is None:
            return otherwise
        size = struct.calcsize(form)
        assert at % size == 0, "numbers are aligned"
        return struct.unpack_from("<" + form, self.data, at)[0]

    def target(self, slot):
        at = self.place(slot)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def bytes(self, slot, is_text=True):
        at = self.target(slot)
        if at is None:
            return b""
        length = struct.unpack_from("<I", self.data, at)[0]
        if is_text:
            assert self.data[at + 4 + length] == 0, "strings end with a zero"
        return self.data[at + 4:at + 4 + length]

    def table(self, slot):
        return Table(self.data, self.target(slot))

    def vector(self, slot):
        at = self.target(slot)
        if at is None:
            return []
        count = struct.unpack_from("<I", self.data, at)[0]
        places = [at + 4 + 4 * i for i in range(count)]
        return [place + struct.unpack_from("<I", self.data, place)[0] for place in places]

def entry(data, at):
    file = Table(data, at)
    return {
        "name": file.bytes(0).hex(), "type": file.bytes(1).decode(),
        "offset": file.number(2, "q"), "size": file.number(3, "q"),
        "linkname": file.bytes(4).hex(), "mode": file.number(5, "q"),
        "uid": file.number(6, "I"), "gid": file.number(7, "I"),
        "uname": file.bytes(8).hex(), "gname": file.bytes(9).hex(),
        "modTime": file.bytes(10).decode(),
        "devMajor": file.number(11, "q"), "devMinor": file.number(12, "q"),
        "xattrs": [[Table(data, x).bytes(0).hex(), Table(data, x).bytes(1).hex()]
                   for x in file.vector(13)],
    }

def text(data, at):
    length = struct.unpack_from("<I", data, at)[0]
    return data[at + 4:at + 4 + length].decode()

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        data = file.read()
    root = Table(data, struct.unpack_from("<I", data, 0)[0])
    compression = root.table(5)
    print(json.dumps({
        "version": root.bytes(0).decode(), "buildTool": root.bytes(1).decode(),
        "compressedSize": root.number(2, "q"), "uncompressedSize": root.number(3, "q"),
        "entries": [entry(data, at) for at in root.table(4).vector(0)],
        "algorithm": compression.number(0, "b", 1),
        "maxSpanId": compression.number(1, "i"),
        "spanDigests": [text(data, at) for at in compression.vector(2)],
        "checkpoints": compression.bytes(3, is_text=False).hex(),
    }))
