import assert from "node:assert/strict";
import { parseCommandLine } from "../../../cmd/command.ts";
import { BUILD_OPTIONS, readBuildFlags } from "../../../cmd/build_flags.ts";
import { DEFAULT_SPAN_SIZE_BYTES } from "../../../lib/formats/ztoc/mod.ts";

const spanSize = (
  args: string[],
  options?: Parameters<typeof readBuildFlags>[1],
) => {
  const { values } = parseCommandLine({ args, options: BUILD_OPTIONS });
  return readBuildFlags(values, options).build.spanSizeBytes;
};

Deno.test("spans are as large as the existing tools make them, unless a command or a flag says otherwise", () => {
  assert.equal(DEFAULT_SPAN_SIZE_BYTES, 4 * 2 ** 20);
  assert.equal(spanSize([]), DEFAULT_SPAN_SIZE_BYTES);
  assert.equal(spanSize([], { spanSizeBytes: 5 }), 5);
  assert.equal(
    spanSize(["--span-size", "1MiB"], { spanSizeBytes: 5 }),
    2 ** 20,
  );
});
