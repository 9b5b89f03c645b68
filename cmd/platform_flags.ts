/** The flags that choose images of several platforms. @module */
import { parsePlatform, type Platform } from "../lib/formats/oci/mod.ts";
import type { PlatformChoice } from "../lib/remote/image/mod.ts";
import { UsageError } from "./command.ts";

/**
 * Reads `--platform` and `--all-platforms`; given both, all platforms are meant, as in the existing
 * tool.
 * @throws UsageError
 */
export function platformChoice(values: {
  readonly platform?: string[] | undefined;
  readonly "all-platforms"?: boolean | undefined;
}): PlatformChoice {
  try {
    return {
      platforms: values.platform?.flatMap((text) =>
        text.split(",").map(parsePlatform)
      ),
      all: values["all-platforms"],
    };
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : "", {
      cause,
    });
  }
}

/**
 * Reads a `--platform` that may be given once; undefined: this machine's platform. @throws UsageError
 */
export function platformFlag(text: string | undefined): Platform | undefined {
  const { platforms } = platformChoice({
    platform: text === undefined ? undefined : [text],
  });
  if (platforms !== undefined && platforms.length > 1) {
    throw new UsageError("--platform: say one");
  }
  return platforms?.[0];
}
