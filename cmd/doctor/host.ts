/** What the doctor looks at on this machine: the kernel and its file systems. @module */
import {
  closeFd,
  O,
  openFd,
  OsError,
  readWholeFile,
} from "../../lib/host/os/mod.ts";
import { type Finding, ok } from "./finding.ts";

const MAX_BYTES = 16 * 2 ** 20;
/** Mounts outlive the daemon from here on, and EROFS images may have their data elsewhere. */
const RESEND = [6, 9] as const;
const EROFS = [6, 12] as const;

/** Kernel, FUSE, EROFS and overlay. */
export function checkHost(): Finding[] {
  const release = textOf("/proc/sys/kernel/osrelease")?.trim() ?? "";
  return [
    checkKernel(release),
    checkFuse(),
    checkOverlay(release),
    checkErofs(release),
  ];
}

function checkKernel(release: string): Finding {
  return isAtLeast(release, RESEND) ? ok("kernel", `Linux ${release}`) : {
    check: "kernel",
    level: "warn",
    text: `Linux ${
      release || "of unknown release"
    }: containers lose their lazy files when the daemon ends`,
    fix: "use Linux 6.9 or newer (6.12 for EROFS)",
  };
}

function checkFuse(): Finding {
  try {
    closeFd(openFd("/dev/fuse", O.RDWR));
    return ok("fuse", "/dev/fuse can be opened");
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return {
      check: "fuse",
      level: "fail",
      text: `/dev/fuse cannot be opened: ${error.message}`,
      fix:
        "run as root, `modprobe fuse`, and give a container the device (--device /dev/fuse)",
    };
  }
}

function checkOverlay(release: string): Finding {
  return knows("overlay", release)
    ? ok("overlay", "the kernel has overlayfs")
    : {
      check: "overlay",
      level: "fail",
      text: "the kernel has no overlayfs: no container can be started",
      fix: "`modprobe overlay`, or a kernel that has it",
    };
}

function checkErofs(release: string): Finding {
  const without = (text: string, fix: string): Finding => ({
    check: "erofs",
    level: "warn",
    text: `${text}: layers are shown by FUSE, and metadata is slower`,
    fix,
  });
  if (!isAtLeast(release, EROFS)) {
    return without(
      `Linux ${release} shows no EROFS image with data on FUSE`,
      "use Linux 6.12 or newer",
    );
  }
  return knows("erofs", release)
    ? ok("erofs", "layers can be shown by EROFS")
    : without(
      "the kernel has no EROFS",
      "`modprobe erofs`, or a kernel with CONFIG_EROFS_FS",
    );
}

/** Whether the kernel has a file system, or can load it. */
function knows(fileSystem: string, release: string): boolean {
  const now = textOf("/proc/filesystems") ?? "";
  if (new RegExp(`\\b${fileSystem}$`, "m").test(now)) return true;
  return ["modules.dep", "modules.builtin"].some((list) =>
    textOf(`/lib/modules/${release}/${list}`)?.includes(`/${fileSystem}.ko`)
  );
}

function isAtLeast(
  release: string,
  [major, minor]: readonly [number, number],
): boolean {
  const [, a = "0", b = "0"] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(a) > major || (Number(a) === major && Number(b) >= minor);
}

/** Below /proc and /dev Deno's own file API reads nothing without all permissions. */
function textOf(path: string): string | null {
  try {
    return new TextDecoder().decode(readWholeFile(path, MAX_BYTES));
  } catch (error) {
    if (error instanceof OsError || error instanceof RangeError) return null;
    throw error;
  }
}
