/** Tests that need something from the machine they run on. @module */

/**
 * A test that is skipped, with the reason, if the machine lacks something.
 * @param missing what this machine lacks, in words; null if it lacks nothing.
 */
export function testUnless(
  missing: string | null,
  test: Deno.TestDefinition,
): void {
  // `deno task test` reads this line and lists it at the end. A skip without such a line fails.
  if (missing !== null) {
    console.log(
      `skipped: ${test.name} (because ${missing.replace(/\s+/g, " ")})`,
    );
  }
  Deno.test({ ...test, ignore: missing !== null });
}
