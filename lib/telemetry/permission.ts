/** What the runtime says of a permission that is lacking, in words for people. @module */

/**
 * Deno's own advice is to pass flags of its own or to compile anew; whoever reads it has neither.
 * @returns the text, without that advice
 */
export function plainPermissions(text: string): string {
  return text.replaceAll(
    /(?:NotCapable: )?Requires (\w+ access(?: to [^\n]*?)?)(?:, (?:run again with the --allow-[\w-]+ flag|specify the required permissions during compilation using `[^`]*`))/g,
    (_, wanted) =>
      `it wants ${wanted}, which this command does not have (docs/security.md lists what each may do; what is named after a start is in force after a restart)`,
  ).replaceAll(
    /(?:NotCapable: )?Requires --allow-run permissions to spawn subprocess with (\S+) environment variables?\.[^.]*\./g,
    (_, variable) =>
      `it may run no program while ${variable} is in its environment`,
  );
}
