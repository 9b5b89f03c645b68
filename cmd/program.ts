/**
 * How this program starts itself again. Only this file knows where its sources lie.
 * @module
 */
import { LIBC_PATH } from "../lib/host/os/mod.ts";

/** The subcommand that makes the daemon's mounts. */
const MOUNT_HELPER = "mount-helper";

const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const HELPER = new URL("./mount_helper_process.ts", import.meta.url).pathname;

/**
 * Arguments of this program (`Deno.execPath()`) that start the mount helper; append the process ID of
 * its owner. Run from sources, its only permission is libc.
 */
export function mountHelperArguments(): string[] {
  if (Deno.build.standalone) return [MOUNT_HELPER];
  return [
    ...["run", "--no-check", "--no-prompt", "--quiet", "--cached-only"],
    ...["--no-remote", "--config", CONFIG],
    `--allow-ffi=${LIBC_PATH}`,
    HELPER,
    MOUNT_HELPER, // for people who list processes
  ];
}
