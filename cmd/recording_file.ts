/** What a recording's file is called: known before the command is loaded, as it may write this file alone. @module */

/** The workload of an image for which no other is said. */
export const MAIN_WORKLOAD = "default";

/**
 * The file of `record` where no other is said, in the working directory.
 * @param image as it was typed.
 */
export function recordingFile(image: string, workload: string): string {
  const [named = ""] = image.split("@");
  const [name, tag = named === image ? "latest" : ""] = named
    .slice(named.lastIndexOf("/") + 1).split(":");
  return `${[name, tag, workload].filter(Boolean).join("-")}.recording.json`;
}
