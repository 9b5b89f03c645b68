/**
 * How this program starts itself again. Only here it is known where its sources lie.
 * @module
 */
import { LIBC_PATH } from "../lib/host/os/mod.ts";

/** The subcommand that makes the daemon's mounts. */
const MOUNT_HELPER = "mount-helper";

const file = (path: string) => new URL(path, import.meta.url).pathname;

/**
 * Arguments of this program (`Deno.execPath()`) that start the process that makes mounts; the process ID
 * of its owner is to follow. From sources it gets libc and nothing else.
 */
export function mountHelperArguments(): string[] {
  if (Deno.build.standalone) return [MOUNT_HELPER];
  return [
    ...["run", "--no-check", "--no-prompt", "--quiet", "--cached-only"],
    ...["--no-remote", "--config", file("../deno.json")],
    `--allow-ffi=${LIBC_PATH}`,
    file("../main.ts"),
    MOUNT_HELPER,
  ];
}
