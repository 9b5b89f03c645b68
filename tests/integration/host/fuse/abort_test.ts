import assert from "node:assert/strict";
import {
  abortConnection,
  isMountPoint,
  mountDevice,
} from "../../../../lib/host/mounting/mod.ts";
import { pause, run, tryRun } from "../../../support/host/mod.ts";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { testUnless } from "../../../support/test_unless.ts";
import { LOOSE, python } from "./support.ts";

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

const LOOP = `
import fcntl, sys
with open("/dev/loop-control") as control:
    fcntl.ioctl(control, int(sys.argv[1], 16), int(sys.argv[2]))
`;
const LOOP_CTL = { add: "0x4c80", remove: "0x4c81" } as const;

testUnless(hasLoops() ? null : "there are no loop devices", {
  name:
    "a disk with the number of a connection is no connection: whoever has that is left alone",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve("fuse", entries, data);
    const minor = mountDevice(`${layer.folder}/fs/n`)?.split(":")[1] ?? "";
    const disk = `${layer.folder}/disk`;
    await run("truncate", ["--size=1M", disk]);
    await run("mkfs.ext4", ["-q", disk]);
    await python(LOOP, LOOP_CTL.add, minor);
    try {
      await run("losetup", [`/dev/loop${minor}`, disk]);
      await Deno.mkdir(`${disk}.mounted`);
      await run("mount", [`/dev/loop${minor}`, `${disk}.mounted`]);
      try {
        assert.equal(mountDevice(`${disk}.mounted`), `7:${minor}`);
        assert.ok(!abortConnection(`${disk}.mounted`));
      } finally {
        await run("umount", [`${disk}.mounted`]);
      }
      const { stdout } = await run("wc", ["-c", `${layer.directory}/file`], {
        timeoutMs: 20_000,
      });
      assert.equal(parseInt(stdout), SPAN_BYTES);
    } finally {
      await tryRun("losetup", ["--detach", `/dev/loop${minor}`]);
      await python(LOOP, LOOP_CTL.remove, minor);
    }
  },
});

function hasLoops(): boolean {
  try {
    return Deno.statSync("/dev/loop-control").isCharDevice === true;
  } catch {
    return false;
  }
}
