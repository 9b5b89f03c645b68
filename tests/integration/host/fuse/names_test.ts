import assert from "node:assert/strict";
import { Layer } from "../../layers/faces/layer.ts";
import { dropCaches, LOOSE, python } from "./support.ts";

const LIST = `
import os, sys
d = os.fsencode(sys.argv[1])
for name in sorted(os.listdir(d)):
    print(name.hex(), os.lstat(d + b"/" + name).st_size, os.readlink(d + b"/l").hex() if name == b"l" else "-")
`;

Deno.test({
  name: "names and link targets of any bytes come through as they are",
  ...LOOSE,
  async fn() {
    const all = Uint8Array.from({ length: 255 }, (_, i) => i + 1)
      .filter((byte) => byte !== 0x2f);
    const names = [
      Uint8Array.of(0xff, 0xfe),
      Uint8Array.of(0x0a),
      all,
      new TextEncoder().encode("größe"),
      new Uint8Array(255).fill(0x80),
    ];
    const link = new TextEncoder().encode("l");
    await using layer = await Layer.serve("fuse", [
      ...names.map((name, i) => ({ name, offset: 512, size: i + 1 })),
      { name: link, type: "symlink" as const, linkname: all },
    ], new Uint8Array(1024));
    const hex = (bytes: Uint8Array) => bytes.toHex();
    const wanted = [
      ...names.map((name, i) => `${hex(name)} ${i + 1} -`),
      `${hex(link)} ${all.length} ${hex(all)}`,
    ].sort();
    for (let round = 0; round < 2; round++) {
      const found = await python(LIST, layer.directory);
      assert.deepEqual(found.split("\n").sort(), wanted);
      await dropCaches(layer.directory);
    }
  },
});
