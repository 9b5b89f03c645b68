import { run } from "../host/mod.ts";
import { gotar } from "./tar.ts";

/** A program that compresses a tar. */
export interface GzipWriter {
  readonly name: string;
  /** The program it needs. */
  readonly program: string;
  /** Compresses the file `from` into `to`. */
  write(from: string, to: string): Promise<void>;
}

const shell = (name: string, program: string, command: string): GzipWriter => ({
  name,
  program,
  async write(from, to) {
    await run("sh", ["-c", `set -e; ${command}`, "sh", from, to]);
  },
});

const python = (name: string, expression: string) =>
  shell(
    name,
    "/usr/bin/python3",
    `/usr/bin/python3 -c '
import gzip, sys, zlib
data = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(${expression})' "$1" "$2"`,
  );

const go = (level: number): GzipWriter => ({
  name: `Go compress/gzip, level ${level}`,
  program: "go",
  async write(from, to) {
    const program = await gotar();
    await run("sh", [
      ...["-c", `${program} gzip ${level} < "$1" > "$2"`, "sh", from, to],
    ]);
  },
});

/** Programs and libraries that compress layers. */
export const GZIP_WRITERS: readonly GzipWriter[] = [
  shell("gzip -1", "gzip", 'gzip -1 -c "$1" > "$2"'),
  shell("gzip -9 without a name", "gzip", 'gzip -9 -nc "$1" > "$2"'),
  shell("pigz", "pigz", 'pigz -c "$1" > "$2"'),
  shell("pigz, independent blocks", "pigz", 'pigz -i -c "$1" > "$2"'),
  shell(
    "two members",
    "gzip",
    '{ head -c 1000000 "$1" | gzip -c; tail -c +1000001 "$1" | gzip -c; } > "$2"',
  ),
  go(-1),
  go(1),
  go(-2), // only Huffman codes
  python("Python gzip", "gzip.compress(data, 6, mtime=0)"),
  python("zlib, stored", "gzip.compress(data, 0)"),
  python(
    "zlib with full flushes",
    '(lambda c: b"".join(c.compress(data[i:i + 50000]) + c.flush(zlib.Z_FULL_FLUSH) for i in range(0, len(data), 50000)) + c.flush())(zlib.compressobj(9, zlib.DEFLATED, 31))',
  ),
];
