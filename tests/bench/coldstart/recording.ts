/** Recordings of workloads, kept between runs. @module */
import { cacheFolder, exists } from "../support.ts";
import { sociDenoNode } from "./nodes.ts";
import { portAnswers } from "./ready.ts";
import { type Name, WORKLOADS } from "./workloads.ts";

/** What a recording is made of: the image's workload by its other invocation, or something else. */
export type Recorded = "recorded" | "other";

/** Records until so long nothing was read. */
const IDLE = "2s";

/**
 * The recording of an image's start by our daemon.
 * @param image where it is, near.
 * @param digest of the image.
 * @returns the file's path. @throws Error
 */
export async function recordingOf(
  name: Name,
  recorded: Recorded,
  { image, digest, caFile }: { image: string; digest: string; caFile: string },
): Promise<string> {
  const folder = `${cacheFolder()}/coldstart/recordings`;
  await Deno.mkdir(folder, { recursive: true });
  const path = `${folder}/${name}-${recorded}-${digest.slice(7, 19)}`;
  if (exists(path)) return path;
  console.log(`recording ${name} (kept for later runs)`);
  await using stack = new AsyncDisposableStack();
  const node = await sociDenoNode(stack, caFile, "");
  const { [recorded]: { args, port }, ready } = WORKLOADS[name];
  const until = port === null
    ? ["--until-exit"]
    : ["--until-idle", IDLE, "--run-flag=--net-host"];
  const stop = new AbortController();
  const asked = port === null || ready.kind === "line"
    ? null
    : portAnswers(port, ready, stop.signal); // what the first answer reads counts
  try {
    await node.command(
      ...["record", ...until, "--output", `${path}.part`],
      ...[image, "--", ...args],
    );
    await asked;
  } finally {
    stop.abort();
  }
  await Deno.rename(`${path}.part`, path);
  return path;
}
