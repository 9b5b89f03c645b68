import { makePipe } from "./descriptors.ts";
import { OsError, raise } from "./errno.ts";
import { closeFd, cString, listNames, O, readWholeFile } from "./files.ts";
import { libc } from "./libc.ts";
import { LIBC_PATH } from "./libc_path.ts";
import { Arena } from "./memory.ts";

const SIGKILL = 9;
const POSIX_SPAWN_SETSID = 0x80;
/** At least as large as posix_spawn_file_actions_t (80) and posix_spawnattr_t (336) of glibc. */
const OPAQUE_BYTES = 512;
const SHELL = "/bin/sh";
/** Shows in the process list what this shell is for. */
const HOLDER_NAME = "soci-deno-holder";
/** How often a holder checks whether its state file still exists, s. */
const HOLDER_LOOKS_S = 2;

/**
 * The holder's shell script. First it waits for a message that its ID is written down, or for the end of
 * whoever would send it: killed just after the ID was written, that process needs the holder most. Then it
 * sleeps as long as the state file ($1) exists and names it by a line `"pid": ID,`. A state file that exists
 * but cannot be read, for example on a failing disk, counts as present. `sleep` gets none of the descriptors,
 * because it may outlive a holder that is killed. They are closed in a subshell, because some shells would
 * otherwise close them in the shell itself while a command runs.
 */
function holderScript(descriptors: number): string {
  const none = Array.from({ length: descriptors }, (_, i) => `${3 + i}<&-`);
  return `read -r go
while [ -f "$1" ]; do
  any= named=
  while read -r line || [ "$line" ]; do
    any=1
    case $line in *'"pid": '$$,* | *'"pid":'$$,*) named=1 ;; esac
  done <"$1"
  [ "$any" ] && ! [ "$named" ] && exit
  (exec sleep ${HOLDER_LOOKS_S} ${none.join(" ")}) || exit
done`;
}

const spawnSymbols = {
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  actions: {
    name: "posix_spawn_file_actions_init",
    parameters: ["buffer"],
    result: "i32",
  },
  actionsEnd: {
    name: "posix_spawn_file_actions_destroy",
    parameters: ["buffer"],
    result: "i32",
  },
  open: {
    name: "posix_spawn_file_actions_addopen",
    parameters: ["buffer", "i32", "buffer", "i32", "i32"],
    result: "i32",
  },
  dup2: {
    name: "posix_spawn_file_actions_adddup2",
    parameters: ["buffer", "i32", "i32"],
    result: "i32",
  },
  closeFrom: {
    name: "posix_spawn_file_actions_addclosefrom_np",
    parameters: ["buffer", "i32"],
    result: "i32",
  },
  chdir: {
    name: "posix_spawn_file_actions_addchdir_np",
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  attributes: {
    name: "posix_spawnattr_init",
    parameters: ["buffer"],
    result: "i32",
  },
  setFlags: {
    name: "posix_spawnattr_setflags",
    parameters: ["buffer", "i16"],
    result: "i32",
  },
} as const;

/**
 * Starts a process that only holds these descriptors (there they are 3, 4, …). It has its own session,
 * none of our other descriptors, and no working directory that would keep a folder busy. It ends by
 * `endProcess`, and by itself when the file at `statePath` is gone or has no line `"pid": ID,` for it.
 *
 * `Deno.Command` closes what it does not know, and clearing close-on-exec would leak the
 * descriptors into whatever is spawned at that moment; `posix_spawn` changes them in the child.
 *
 * @param remember called with its process ID, to write it down. If this process dies before that is
 * done, the holder ends by itself; if `remember` throws, it is ended. So no holder is ever left over.
 * @throws OsError; TypeError where libc lacks a call (glibc before 2.34).
 */
export function spawnHolder(
  fds: readonly number[],
  statePath: string,
  remember: (pid: number) => void,
): void {
  const { readEnd, writeEnd } = makePipe();
  try {
    let pid: number;
    try {
      pid = spawnShell(statePath, readEnd, fds);
    } finally {
      closeFd(readEnd);
    }
    try {
      remember(pid);
      if (libc.write(writeEnd, cString("\n"), 1n) !== 1) {
        raise("write", "the holder process");
      }
    } catch (error) {
      endProcess(pid);
      throw error;
    }
  } finally {
    closeFd(writeEnd);
  }
}

function spawnShell(
  statePath: string,
  stdin: number,
  fds: readonly number[],
): number {
  // Opened only when needed: an older libc without these calls can do everything else.
  const c = Deno.dlopen(LIBC_PATH, spawnSymbols).symbols;
  const arena = new Arena(16384);
  const actions = arena.from(arena.take(OPAQUE_BYTES));
  const attributes = arena.from(arena.take(OPAQUE_BYTES));
  const pidAt = arena.take(8);
  const check = (error: number, call: string) => {
    if (error !== 0) throw new OsError(error, call, "the holder process");
  };
  check(c.actions(actions), "posix_spawn_file_actions_init");
  try {
    const sources = [stdin, ...fds];
    // Above all of them, so that no target overwrites a descriptor that is still to be copied.
    const above = Math.max(3 + fds.length, ...sources.map((fd) => fd + 1));
    sources.forEach((fd, i) =>
      check(c.dup2(actions, fd, above + i), "adddup2")
    );
    check(c.chdir(actions, cString("/")), "addchdir");
    check(c.dup2(actions, above, 0), "adddup2");
    check(c.open(actions, 1, cString("/dev/null"), O.RDWR, 0), "addopen");
    check(c.dup2(actions, 1, 2), "adddup2");
    fds.forEach((_, i) =>
      check(c.dup2(actions, above + 1 + i, 3 + i), "adddup2")
    );
    check(c.closeFrom(actions, 3 + fds.length), "addclosefrom");
    check(c.attributes(attributes), "posix_spawnattr_init");
    check(c.setFlags(attributes, POSIX_SPAWN_SETSID), "setflags");
    const argv = arena.strings([
      ...["sh", "-c", holderScript(fds.length), HOLDER_NAME, statePath],
    ]);
    const environment = arena.strings([]);
    check(
      c.posix_spawn(
        arena.from(pidAt),
        cString(SHELL),
        actions,
        attributes,
        arena.from(argv),
        arena.from(environment),
      ),
      "posix_spawn",
    );
    return arena.view.getInt32(pidAt, true);
  } finally {
    c.actionsEnd(actions);
  }
}

/** Sends a signal. @throws OsError ESRCH when there is no such process. */
export function signalProcess(pid: number, signal: "SIGINT" | "SIGTERM"): void {
  if (pid <= 1) throw new RangeError(`process ${pid} is not ours to signal`);
  if (libc.kill(pid, signal === "SIGINT" ? 2 : 15) < 0) {
    raise(`kill ${signal}`, `process ${pid}`);
  }
}

/** Kills a process and, if it is our child, reaps it. A process that is gone is not an error. */
export function endProcess(pid: number): void {
  if (pid <= 1) throw new RangeError(`process ${pid} is not ours to end`);
  if (libc.kill(pid, SIGKILL) < 0) return;
  libc.waitpid(pid, new Uint8Array(64), 0); // ECHILD if it has another parent: init reaps it
}

/** Kills all processes of a group that is ours. That there are none is not an error. @param leader whose ID it has. */
export function endGroup(leader: number): void {
  if (leader <= 1) throw new RangeError(`group ${leader} is not ours to end`);
  libc.kill(-leader, SIGKILL);
}

/**
 * When a process started, in clock ticks since boot. Together with its ID this identifies a process
 * uniquely. Null if there is no such process, or only a zombie.
 */
export function processStart(pid: number): string | null {
  try {
    const text = new TextDecoder().decode(
      readWholeFile(`/proc/${pid}/stat`, 65536),
    );
    // `pid (name) state …`; the name may hold anything, also parentheses (proc(5)).
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : fields[19] ?? null;
  } catch (error) {
    if (error instanceof OsError) return null;
    throw error;
  }
}

/**
 * Whether a process was killed but cannot end, and keeps its files open, because it is in a system call
 * that does not return: an unkillable wait, such as for an answer from FUSE. None of its threads runs.
 */
export function isStuckDying(pid: number, started: string): boolean {
  try {
    const leader = threadState(`/proc/${pid}`);
    if (leader.started !== started || leader.state !== "Z") return false;
    return listNames(`/proc/${pid}/task`).every((thread) =>
      "ZXD".includes(threadState(`/proc/${pid}/task/${thread}`).state)
    );
  } catch (error) {
    if (error instanceof OsError) return false; // gone meanwhile
    throw error;
  }
}

function threadState(folder: string): { state: string; started: string } {
  const text = new TextDecoder().decode(
    readWholeFile(`${folder}/stat`, 65536),
  );
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", started: fields[19] ?? "" };
}

/** The ID of the machine's current boot; it changes with every boot. @throws OsError */
export function bootId(): string {
  return new TextDecoder().decode(
    readWholeFile("/proc/sys/kernel/random/boot_id", 4096),
  ).trim();
}
