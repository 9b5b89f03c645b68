import { sha256 } from "../../../lib/formats/oci/mod.ts";
import { type Image, makeImage } from "./image.ts";
import { layerBlob } from "./layer.ts";
import { programImage } from "./program.ts";
import { compressible, incompressible } from "./random.ts";
import { TarBuilder } from "./tar_builder.ts";

const KiB = 1024;

/**
 * A Python program. It reads files at random for a number of seconds (or until SIGTERM), drops each
 * from the page cache, and compares digests. It prints "ready" when it begins, what is wrong at once, and at the end a line of JSON: operations, wrong
 * results, errors, the longest operation.
 */
export const CHECKER = `
import hashlib, json, os, random, signal, sys, time
root, seconds = sys.argv[1], float(sys.argv[2])
known = json.load(open(root + "/checked/known.json"))
paths, listings = sorted(known["files"]), sorted(known["folders"])
operations, wrong, errors, longest, wait_at = 0, [], [], 0, 0
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
start = time.monotonic()
print("ready", flush=True)
while time.monotonic() - start < seconds and not stopped:
    began = time.monotonic()
    try:
        if operations % 4 == 0:
            path = random.choice(listings)
            found = sorted(os.listdir(root + path))
            expected = known["folders"][path]
        else:
            path = random.choice(paths)
            fd = os.open(root + path, os.O_RDONLY)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                digest = hashlib.sha256()
                while True:
                    piece = os.read(fd, 1 << 17)
                    if not piece: break
                    digest.update(piece)
                found = "sha256:" + digest.hexdigest()
            finally:
                os.close(fd)
            expected = known["files"][path]
        if found != expected:
            wrong.append(path)
            print("wrong: " + path, flush=True)
    except OSError as error:
        errors.append(path + ": " + str(error))
    operations += 1
    took = time.monotonic() - began
    if took > longest: longest, wait_at = took, began - start
print(json.dumps({"operations": operations, "wrong": wrong[:20], "errors": errors[:20],
  "failures": len(wrong) + len(errors), "longestMs": round(longest * 1000)}), flush=True)
`;

/** What {@linkcode CHECKER} prints at the end. */
export interface CheckReport {
  readonly operations: number;
  readonly wrong: readonly string[];
  readonly errors: readonly string[];
  readonly failures: number;
  readonly longestMs: number;
}

/**
 * Parses the last line of the checker's output. @throws Error with that output if there is no
 * report.
 */
export function readCheckReport(stdout: string): CheckReport {
  const line = stdout.trim().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(`the checker did not end well: ${stdout}`);
  }
}

/** A layer with files to check, in `/checked`, and their digests. */
export function checkedLayer(options: {
  /** Another seed gives other contents. */
  readonly seed: number;
  /** Number of files of 300 KiB. */
  readonly large: number;
  /** Number of files of some hundred bytes. */
  readonly small: number;
}) {
  const { seed, large, small } = options;
  const tar = new TarBuilder().dir("checked");
  const files: Record<string, string> = {};
  const folders: Record<string, string[]> = {};
  const add = (folder: string, name: string, bytes: Uint8Array) => {
    if (folders[folder] === undefined) {
      tar.dir(folder.slice(1));
      folders[folder] = [];
    }
    folders[folder].push(name);
    files[`${folder}/${name}`] = sha256(bytes);
    tar.file(`${folder}/${name}`.slice(1), bytes);
  };
  for (let i = 0; i < large; i++) {
    add(
      `/checked/large-${i % 2}`,
      `file-${i}`,
      i % 3 === 0
        ? compressible(300 * KiB + i)
        : incompressible(300 * KiB + i, seed + i),
    );
  }
  for (let i = 0; i < small; i++) {
    add(
      `/checked/small-${i % 7}`,
      `file-${i}`,
      incompressible(100 + i, seed + i),
    );
  }
  // An opaque directory is an extended attribute: such layers are served on a mount of their own.
  add("/checked/marked", "file", incompressible(5000, seed));
  tar.opaque("checked/marked");
  for (const names of Object.values(folders)) names.sort();
  return layerBlob(
    tar.file("checked/known.json", JSON.stringify({ files, folders })),
  );
}

/** An image whose Python can run {@linkcode CHECKER} on a layer of files to be checked. */
export function checkedImage(): Image {
  const script = new TarBuilder().dir("app").file("app/check.py", CHECKER);
  return makeImage({
    layers: [
      ...programImage().layers.slice(0, 3),
      checkedLayer({ seed: 7, large: 60, small: 300 }),
      layerBlob(script),
    ],
    config: { env: ["PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"] },
  });
}
