import { logger } from "../../telemetry/mod.ts";
import { writeAll } from "../files/mod.ts";
import { connect } from "./socket.ts";

const log = logger("control");

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
    const message = { say: "expect", image, manifest };
    await writeAll(
      connection,
      new TextEncoder().encode(`${JSON.stringify(message)}\n`),
    );
  } catch (error) {
    log.debug("daemon was not told of an image", { error: String(error) });
  }
}
