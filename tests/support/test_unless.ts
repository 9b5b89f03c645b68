/** Tests that need something of the machine they run on. @module */

/**
 * A test that is skipped, and says why, where something is missing.
 * @param missing what this machine lacks for it, as a person would say it; null when nothing.
 */
export function testUnless(
  missing: string | null,
  test: Deno.TestDefinition,
): void {
  // `deno task test` reads this line, lists it at the end, and fails for a skip without one.
  if (missing !== null) {
    console.log(
      `skipped: ${test.name} (because ${missing.replace(/\s+/g, " ")})`,
    );
  }
  Deno.test({ ...test, ignore: missing !== null });
}
