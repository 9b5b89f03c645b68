/** What the doctor looks at in containerd: whether it answers, and how it is configured. @module */
import {
  checkSetup,
  ContainerdConfigError,
  type ExpectedSetup,
  readContainerdConfig,
} from "../../lib/remote/containerd_setup/mod.ts";
import { isRpcError } from "../../lib/remote/containerd_words/mod.ts";
import { type Finding, ok } from "./finding.ts";

/** What is asked of a running containerd. */
export interface RunningContainerd {
  /** Its release. */
  readonly release: string;
  /** The snapshotters it has loaded. */
  readonly snapshotters: readonly string[];
}

/** Asks the containerd of a socket; a finding where it does not answer. */
export async function askContainerd(
  socket: string,
  namespace: string,
  signal: AbortSignal,
): Promise<RunningContainerd | Finding> {
  const { connectContainerd } = await import(
    "../../lib/remote/containerd/mod.ts"
  );
  try {
    using containerd = await connectContainerd(socket, { namespace, signal });
    return {
      release: (await containerd.version({ signal })).version,
      snapshotters: await containerd.snapshotters({ signal }),
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!isRpcError(error)) throw error;
    return {
      check: "containerd",
      level: "fail",
      text: `containerd does not answer on ${socket}: ${error.message}`,
      fix: "start it, or name its socket with --address",
    };
  }
}

/** Looks at containerd's configuration. @param running null where it does not answer. */
export function checkContainerd(
  path: string,
  running: RunningContainerd | null,
  expected: Omit<ExpectedSetup, "release">,
): Finding[] {
  const { snapshotter } = expected;
  const findings: Finding[] = running === null
    ? []
    : [ok("containerd", `containerd ${running.release} answers`)];
  let wrong: Finding[];
  try {
    const config = readContainerdConfig(path);
    wrong = config === null
      ? [{
        check: "containerd",
        level: "fail",
        text:
          `there is no ${path}: containerd knows no snapshotter "${snapshotter}"`,
        fix:
          "write it as docs/containerd.md shows, or name it with --containerd-config",
      }]
      : checkSetup(config, {
        ...expected,
        release: running?.release ?? null,
      }).map((finding) => ({ check: "containerd", ...finding }));
  } catch (error) {
    if (!(error instanceof ContainerdConfigError)) throw error;
    wrong = [{
      check: "containerd",
      level: "fail",
      text: `the configuration cannot be read: ${error.message}`,
      fix: "mend the file: containerd does not start with it",
    }];
  }
  if (wrong.length === 0) {
    findings.push(ok("containerd", `${path} is as it should be`));
    if (running !== null && !running.snapshotters.includes(snapshotter)) {
      wrong.push({
        check: "containerd",
        level: "fail",
        text:
          `the running containerd does not know the snapshotter "${snapshotter}" yet`,
        fix: "restart containerd: `systemctl restart containerd`",
      });
    }
  }
  return [...findings, ...wrong];
}
