/** The programs that run in the containers of the stage, and what they report. @module */

/**
 * Reads and hashes whole files in random order until it is told to stop, each time as if for the first
 * time: the kernel forgets a file's pages once it was read.
 *
 * Arguments: folder of the files, control folder, seconds from the begin of one file to that of the
 * next (0: at once). In the control folder lies `known.json` (name → hex
 * SHA-256). It writes `ready` when it is loaded, reads while there is a file `run`, and after each
 * file adds a line to `log`: how long it took in ms, and what came of it (`ok`, `wrong`, or the
 * name of an error).
 */
export const HEALTHY_READER = `
import errno, hashlib, json, os, random, sys, time
folder, control, pace = sys.argv[1], sys.argv[2], float(sys.argv[3])
known = list(json.load(open(control + "/known.json")).items())
json.dumps(errno.errorcode[5])
log = open(control + "/log", "w", buffering=1)
open(control + "/ready", "w").close()
due = time.monotonic()
while not os.path.exists(control + "/end"):
    if not os.path.exists(control + "/run"):
        time.sleep(0.01)
        continue
    # At a pace, what was late is not caught up with.
    due = max(due + pace, time.monotonic())
    time.sleep(max(0, due - time.monotonic()))
    name, expected = random.choice(known)
    began, outcome, digest = time.monotonic(), "ok", hashlib.sha256()
    try:
        fd = os.open(folder + "/" + name, os.O_RDONLY)
        try:
            while True:
                piece = os.read(fd, 1 << 17)
                if not piece: break
                digest.update(piece)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
        if digest.hexdigest() != expected: outcome = "wrong"
    except OSError as error:
        outcome = errno.errorcode.get(error.errno, str(error.errno))
    log.write("%.2f %s\\n" % ((time.monotonic() - began) * 1000, outcome))
`;

/**
 * A shell script: reads all files of \`/data\` again and again, all at once, while there is a file
 * \`run\` in its control folder; what \`cat\` says goes to \`errors\` there.
 *
 * Argument: control folder.
 */
export const GREEDY_SCRIPT = `
control=$1
> $control/ready
while [ ! -e $control/run ]; do sleep 0.05; done
for file in /data/*; do
  while [ -e $control/run ]; do cat $file > /dev/null 2>> $control/errors || sleep 1; done &
done
wait
`;

/** What became of the files that the healthy one read. */
export interface HealthyReport {
  readonly files: number;
  /** Files whose bytes were not those of the image. */
  readonly wrong: number;
  /** Names of errors. */
  readonly errors: readonly string[];
  /** Of the files that were read as they should be, ms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** Reads some lines of a healthy reader's log. */
export function reportOf(lines: readonly string[]): HealthyReport {
  const outcomes = lines.map((line) => line.split(" ") as [string, string]);
  const times = outcomes.filter(([, outcome]) => outcome === "ok")
    .map(([ms]) => Number(ms)).sort((a, b) => a - b);
  const at = (part: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0;
  return {
    files: outcomes.length,
    wrong: outcomes.filter(([, outcome]) => outcome === "wrong").length,
    errors: outcomes.map(([, outcome]) => outcome)
      .filter((outcome) => outcome !== "ok" && outcome !== "wrong"),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    longestMs: at(1),
  };
}
