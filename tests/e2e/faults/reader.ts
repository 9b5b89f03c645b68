/** The program that runs in containers while faults happen, and what it reports. @module */

/**
 * Reads and hashes files in random order until each was read once as it should be, or the time is
 * over; files that cannot be read are tried again later.
 *
 * Arguments: folder of the files, control folder, seconds. In the control folder lies `known.json`
 * (name → hex SHA-256) and whatever `known` says; it writes `ready` there when it is loaded, waits
 * for `go`, keeps `done` at the number of files read so far, and leaves its `report`.
 */
export const READER = `
import errno, hashlib, json, os, random, sys, time
folder, control, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
plan = json.load(open(control + "/plan.json"))
left, wrong, errors, longest, operations = list(plan["files"].items()), [], [], 0, 0
random.shuffle(left)
json.dumps(errno.errorcode[5])
def note(name, text):
    with open(control + "/" + name + ".new", "w") as out: out.write(text)
    os.rename(control + "/" + name + ".new", control + "/" + name)
note("done", "0")
note("ready", "")
while not os.path.exists(control + "/go"): time.sleep(0.01)
start = time.monotonic()
while left and time.monotonic() - start < seconds:
    name, expected = left.pop(0)
    began, failure, digest = time.monotonic(), None, hashlib.sha256()
    try:
        fd = os.open(folder + "/" + name, os.O_RDONLY)
        try:
            while True:
                piece = os.read(fd, 1 << 17)
                if not piece: break
                digest.update(piece)
        finally:
            os.close(fd)
    except OSError as error:
        failure = errno.errorcode.get(error.errno, str(error.errno))
    took = round((time.monotonic() - began) * 1000)
    operations += 1
    if failure is not None:
        errors.append([failure, took])
        left.append((name, expected))
        time.sleep(0.1)
        continue
    longest = max(longest, took)
    if digest.hexdigest() != expected: wrong.append(name)
    note("done", str(len(plan["files"]) - len(left)))
    time.sleep(plan["pauseMs"] / 1000)
report = json.dumps({"operations": operations, "unread": len(left), "wrong": wrong, "errors": errors,
  "longestMs": longest, "ms": round((time.monotonic() - start) * 1000)})
note("report", report)
`;

/** What {@linkcode READER} is to read. */
export interface ReadingPlan {
  /** Hex SHA-256 by name. */
  readonly files: Readonly<Record<string, string>>;
  /** Between two files. */
  readonly pauseMs: number;
}

/** What it saw. */
export interface ReadingReport {
  readonly operations: number;
  /** Files that were never read as they should be. */
  readonly unread: number;
  /** Files with another content, which must not be. */
  readonly wrong: readonly string[];
  /** Name of the error, and how long the reader waited for it, ms. */
  readonly errors: readonly (readonly [string, number])[];
  /** The longest read that succeeded. */
  readonly longestMs: number;
  readonly ms: number;
}
