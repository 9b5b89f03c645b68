/** This program as the kernel has it open, even if another file has its name by now. */
const OPEN_PROGRAM = "/proc/self/exe";
/** How the kernel marks the name of a file that was unlinked (proc(5)). */
const DELETED = / \(deleted\)$/;

let replacement: string | null = null;

/**
 * The path to start another process of this program. Normally that is its file name.
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
