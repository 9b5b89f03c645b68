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

Deno.test("sizes that are none are refused in the words of the existing tools", () => {
  const tooMuch = String(2n ** 63n);
  for (
    const [size, span, words] of [
      ["-1", "0", /^min layer size must be >= 0/],
      ["0", "-1", /^span size must be >= 0/],
      [tooMuch, "0", `invalid value "${tooMuch}" for flag -min-layer-size`],
      ["0", tooMuch, `invalid value "${tooMuch}" for flag -span-size`],
    ] as const
  ) {
    assert.throws(
      () => spanSize(["--min-layer-size", size, "--span-size", span]),
      (error: Error) =>
        typeof words === "string"
          ? error.message.startsWith(words)
          : words.test(error.message),
      `${size} ${span}`,
    );
  }
});
