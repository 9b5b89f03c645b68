import assert from "node:assert/strict";
import {
  abortConnection,
  isMountPoint,
} from "../../../../lib/host/mounting/mod.ts";
import { pause, run, tryRun } from "../../../support/host/mod.ts";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE } from "./support.ts";

Deno.test({
  name: "aborting the connection frees whoever waits, with an error",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve("fuse", entries, data);
    layer.gate = new Promise(() => {});
    const reader = tryRun("dd", [
      ...[`if=${layer.directory}/file`, "bs=4096", "count=1", "of=/dev/null"],
    ], { timeoutMs: 20_000 });
    await pause(700);
    // Systems without systemd leave the control file system unmounted.
    const controls = "/sys/fs/fuse/connections";
    const mounted = isMountPoint(controls);
    if (!mounted) await run("mount", ["-t", "fusectl", "none", controls]);
    try {
      assert.ok(abortConnection(`${layer.folder}/fs/n`));
    } finally {
      if (!mounted) await run("umount", [controls]);
    }
    const { code, stderr } = await reader;
    assert.equal(code, 1);
    assert.match(stderr, /not connected|aborted/i);
  },
});
