/**
 * What is said of state that a newer release wrote, and what to run then.
 * @param found its schema. @param known the newest one that this release understands.
 */
export function ofNewerRelease(found: number, known: number): string {
  return `written by a newer release (schema ${found}, this one knows ${known}), and left as it is: install that release again; or, to stay with this one, run \`soci-deno stop\` and \`soci-deno adopt --back --yes\` of that release, which put its state aside`;
}
