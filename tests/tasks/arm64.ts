/**
 * `deno task test:arm64`: runs the unit tests of calls into libc and of binary structures with Deno for arm64, by
 * qemu-user where this machine is none. Paths narrow the run or widen it to others that import no package; flags for `deno test`
 * may follow. Ends with 3, and says why, where it cannot run here.
 * @module
 */
import { arm64Deno } from "../support/arm64.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** What tests no layout, or starts Deno itself, is left out: every instruction is translated. */
const TESTS = [
  "tests/unit/host/os/libc_test.ts",
  "tests/unit/host/os/real_calls_test.ts",
  "tests/unit/layers/tree/compile_test.ts",
];

const runner = await arm64Deno();
if ("reason" in runner) {
  console.error(`arm64: not run: ${runner.reason}`);
  Deno.exit(3);
}
// Without the configuration nothing is fetched.
const [program = "", ...before] = runner.command;
const asked = Deno.args.some((one) => !one.startsWith("-")) ? [] : TESTS;
const { code } = await new Deno.Command(program, {
  args: [
    ...before,
    ...["test", "-A", "--no-check", "--no-config"],
    ...Deno.args,
    ...asked,
  ],
  cwd: ROOT,
  stdin: "null",
}).spawn().status;
Deno.exit(code);
