/** What the doctor asks of the daemon: whether it runs, and what it says of itself. @module */
import { isBolt } from "../../lib/formats/bolt/mod.ts";
import { askStatus, StatusError } from "../../lib/host/control/mod.ts";
import type { DaemonStatus } from "../daemon_status.ts";
import { type Finding, ok } from "./finding.ts";

/** The daemon of a root, and what of it is to be told. */
export async function checkDaemon(
  root: string,
): Promise<{ readonly status: DaemonStatus | null; findings: Finding[] }> {
  let status: DaemonStatus | null;
  try {
    status = await askStatus(`${root}/control.sock`) as DaemonStatus | null;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return {
      status: null,
      findings: [{
        check: "daemon",
        level: "fail",
        text: `a daemon runs on ${root}, and ${error.message}`,
        fix: "look into its log, then restart it: containers do not notice",
      }],
    };
  }
  if (status === null) return { status, findings: [notRunning(root)] };
  const findings: Finding[] = [
    ok("daemon", `process ${status.pid} (${status.version}) serves ${root}`),
  ];
  if (status.cache.broken !== null) {
    findings.push({
      check: "cache",
      level: "fail",
      text: `the disk of the cache is broken: ${status.cache.broken}`,
      fix: `free or mend the disk of ${root}, then restart the daemon`,
    });
  }
  for (const { path, found, then } of status.damages ?? []) {
    findings.push({
      check: "state",
      level: "warn",
      text: `${path}: ${found}`,
      fix: then,
    });
  }
  return { status, findings };
}

function notRunning(root: string): Finding {
  if (isExisting(`${root}/snapshotter/metadata.db`)) {
    return {
      check: "daemon",
      level: "fail",
      text: `${root} holds the snapshots of the existing SOCI daemon`,
      fix: "run `soci-deno adopt`, or give another --root",
    };
  }
  return {
    check: "daemon",
    level: "fail",
    text: `no daemon runs on ${root}`,
    fix:
      "start it: `systemctl start soci-snapshotter`, or `soci-deno serve`; its log says why it ends",
  };
}

function isExisting(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const head = new Uint8Array(64);
    return isBolt(head.subarray(0, file.readSync(head) ?? 0));
  } catch {
    return false; // there is none
  }
}
