import { run } from "../host/mod.ts";

const READ = `
import os, sys
path, step = sys.argv[1], int(sys.argv[2])
try:
    fd = os.open(path, os.O_RDONLY)
except OSError:
    print(1)
    sys.exit()
size = os.fstat(fd).st_size
at = errors = 0
out = open(sys.argv[3], "wb")
while at < size:
    try:
        part = os.pread(fd, step, at)
    except OSError:
        errors += 1
        part = b""
    if not part:
        # what could not be read is marked, so that nobody takes it for data
        part = b"\\xEE" * min(step, size - at)
    out.seek(at)
    out.write(part)
    at += len(part)
print(errors)
`;

/** The result of reading a file in steps. */
export interface StepsRead {
  /** Steps that ended with an error. */
  readonly errors: number;
  /** The file's bytes, with 0xEE in place of unreadable ones; empty if it could not be opened. */
  readonly bytes: Uint8Array;
}

/**
 * Reads a file step by step and continues after unreadable parts. It runs in its own process, so that a
 * hanging file system blocks that process and not the test.
 */
export async function readInSteps(
  path: string,
  stepBytes: number,
): Promise<StepsRead> {
  const out = await Deno.makeTempFile({ prefix: "soci-deno-steps-" });
  try {
    const { stdout } = await run("/usr/bin/python3", [
      ...["-c", READ, path, String(stepBytes), out],
    ], { timeoutMs: 30_000 });
    return { errors: Number(stdout), bytes: await Deno.readFile(out) };
  } finally {
    await Deno.remove(out);
  }
}
