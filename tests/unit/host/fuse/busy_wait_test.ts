import assert from "node:assert/strict";
import { BusyWait } from "../../../../lib/host/fuse/busy_wait.ts";
import { closeFd, readSome, writeSome } from "../../../../lib/host/os/mod.ts";
import { cString } from "../../../../lib/host/os/files.ts";
import { makePipe } from "../../../../lib/host/os/descriptors.ts";
import { testUnless } from "../../../support/test_unless.ts";

const SOON_MS = 0.02;
const LATE_MS = 5;

const missing = navigator.hardwareConcurrency < 2 ? "a second processor" : null;

testUnless(missing, {
  name: "it waits awake only while questions follow each other closely",
  fn() {
    const { readEnd, writeEnd } = makePipe();
    const ask = () => assert.equal(writeSome(writeEnd, cString(""), 1), 1);
    const take = () => assert.equal(readSome(readEnd, new Uint8Array(8), 8), 1);
    try {
      const wait = new BusyWait(readEnd);
      ask();
      assert.equal(wait.met(), false, "nothing is known: it sleeps");
      take();
      wait.slept(LATE_MS);
      ask();
      assert.equal(wait.met(), false, "questions are rare");
      take();
      wait.slept(SOON_MS);
      for (let i = 0; i < 3; i++) {
        ask();
        assert.equal(wait.met(), true, "they come one after another");
        take();
      }
      assert.equal(wait.met(), false, "none has come");
      ask();
      assert.equal(wait.met(), false, "and so it does not look again");
      take();
      wait.slept(SOON_MS);
      closeFd(writeEnd);
      assert.equal(wait.met(), true, "an error is to be read, too");
    } finally {
      closeFd(readEnd);
    }
  },
});
