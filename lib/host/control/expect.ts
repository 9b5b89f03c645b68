import { connect, say } from "./socket.ts";

/** An image that is about to be pulled. */
export interface ExpectedImage {
  /** As it is asked for: host, repository, tag. */
  readonly image: string;
  /** Digest of the platform's manifest. */
  readonly manifest: string;
}

/**
 * Tells the daemon that listens at `path` of an image that is about to be pulled, so that it asks the
 * registry while others do. Nothing depends on it: without a daemon, or with one that does not know how,
 * nothing happens.
 */
export async function tellExpected(
  path: string,
  { image, manifest }: ExpectedImage,
): Promise<void> {
  try {
    using connection = await connect(path);
    if (connection === null) return;
    await say(connection, { say: "expect", image, manifest });
  } catch (error) {
    const { logger } = await import("../../telemetry/mod.ts"); // only here
    const log = logger("control");
    log.debug("daemon was not told of an image", { error: String(error) });
  }
}
