import { libc } from "./libc.ts";
import { raise } from "./errno.ts";
import { cString, readWholeFile } from "./files.ts";
import { Arena } from "./memory.ts";

/** This program as the kernel has it open, even if another file has its name by now. */
const OPEN_PROGRAM = "/proc/self/exe";
/** How the kernel marks the name of a file that was unlinked (proc(5)). */
const DELETED = / \(deleted\)$/;

let replacement: string | null = null;

/**
 * The path to start this program again, or another process of it. Normally that is its file name.
 * Packages replace programs by rename; then it is the file that is still open, because that version
 * matches this process's state and protocol. If that file cannot be run, it is the file that has the
 * name now.
 */
export function ownProgram(): string {
  const path = Deno.execPath();
  if (!DELETED.test(path) || exists(path)) return path;
  replacement ??= runs(OPEN_PROGRAM) ? OPEN_PROGRAM : path.replace(DELETED, "");
  return replacement;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false; // if it cannot be inspected, it cannot be started either
  }
}

/** A compiled program may look for its own code under the name it was started by. */
function runs(program: string): boolean {
  try {
    return new Deno.Command(program, {
      args: ["--version"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).outputSync().success;
  } catch {
    return false; // no proc, no memory: the file by name may work
  }
}

function strings(path: string): string[] {
  return new TextDecoder().decode(readWholeFile(path, 8 * 2 ** 20))
    .split("\0").slice(0, -1);
}

/** The command line of this process, the program first. @throws OsError */
export function processArguments(): string[] {
  return strings("/proc/self/cmdline");
}

/**
 * Replaces this process by a new run of its own program, with the environment it was started in:
 * same process ID, all threads gone, all close-on-exec descriptors closed. Returns only by throwing.
 * @param argv its command line, the program first.
 * @throws OsError
 */
export function reexecute(argv: readonly string[]): never {
  const program = ownProgram();
  const environment = strings("/proc/self/environ");
  const arena = new Arena(
    4096 + [...argv, ...environment].reduce(
      (sum, text) => sum + text.length * 3 + 32,
      0,
    ),
  );
  const argvAt = arena.strings(argv);
  const environmentAt = arena.strings(environment);
  libc.execve(
    cString(program),
    arena.from(argvAt),
    arena.from(environmentAt),
  );
  raise("execve", program);
}
