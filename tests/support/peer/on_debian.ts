import { testUnless } from "../test_unless.ts";
import { debianMirror } from "./debian.ts";

/** A test that needs packages only Debian's archive has, such as the existing SOCI tools. */
export function testOnDebian(
  name: string,
  fn: (t: Deno.TestContext) => Promise<void>,
): void {
  const missing = debianMirror() === undefined
    ? "it needs packages of Debian's archive, and this is another system"
    : null;
  testUnless(missing, { name, fn });
}
