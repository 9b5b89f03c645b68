/** All that the doctor looks at but an image. @module */
import type { DaemonStatus } from "../daemon_status.ts";
import type { Session } from "../session.ts";
import {
  askContainerd,
  checkContainerd,
  type RunningContainerd,
} from "./containerd.ts";
import { checkDaemon } from "./daemon.ts";
import type { Finding } from "./finding.ts";
import { checkHost } from "./host.ts";
import { CONTAINERD_CONFIG, daemonSocket } from "./places.ts";

/** What was found of a host. */
export interface Examination {
  /** In the order in which they are told. */
  readonly findings: readonly Finding[];
  /** Of the daemon; null where none answers. */
  readonly status: DaemonStatus | null;
  /** null where it does not answer. */
  readonly containerd: RunningContainerd | null;
}

/** Looks at the host, the daemon of a root, and containerd with its configuration. */
export async function examine(
  { address, namespace, signal }: Pick<
    Session,
    "address" | "namespace" | "signal"
  >,
  { root, snapshotter, cri, containerdConfig = CONTAINERD_CONFIG }: {
    readonly root: string;
    readonly snapshotter: string;
    /** Whether Kubernetes' images are to be lazy, too. */
    readonly cri: boolean;
    readonly containerdConfig?: string | undefined;
  },
): Promise<Examination> {
  const daemon = await checkDaemon(root);
  const asked = await askContainerd(address, namespace, signal);
  const containerd = "release" in asked ? asked : null;
  return {
    findings: [
      ...checkHost(),
      ...daemon.findings,
      ...("release" in asked ? [] : [asked]),
      ...checkContainerd(containerdConfig, containerd, {
        ...{ root, snapshotter, cri },
        socket: daemonSocket(daemon.status?.address),
      }),
    ],
    status: daemon.status,
    containerd,
  };
}
