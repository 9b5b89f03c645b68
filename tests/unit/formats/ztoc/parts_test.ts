import assert from "node:assert/strict";
import {
  decodeZtoc,
  joinZtoc,
  splitZtoc,
  windowBytes,
  ZtocError,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeZtoc } from "../../../../lib/formats/ztoc/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { indexed } from "../../layers/spans/support.ts";
import { blob, ZTOCS } from "./fixture.ts";

const GZIP = encodeZtoc(
  indexed(new TarBuilder().file("f", incompressible(500_000, 3)), 65536).ztoc,
);

Deno.test("a ztoc's head lists what the ztoc lists, has no windows, and with them is the ztoc", () => {
  for (const ztoc of [GZIP, ...ZTOCS.map(({ digest }) => blob(digest))]) {
    const { head, windows } = splitZtoc(ztoc);
    const whole = decodeZtoc(ztoc);
    assert.equal(head.length, ztoc.length);
    assert.equal(windows.length, windowBytes(ztoc));
    assert.deepEqual(
      { ...decodeZtoc(head), checkpoints: null },
      { ...whole, checkpoints: null },
    );
    if (whole.compression === "gzip") {
      assert.ok(windows.length > 0);
      assert.deepEqual(splitZtoc(head).windows, windows.map(() => 0));
    }
    joinZtoc(head, windows);
    assert.deepEqual(head, new Uint8Array(ztoc));
  }
});

Deno.test("windows that are more or fewer than a head has places for are refused", () => {
  const { head, windows } = splitZtoc(GZIP);
  for (const length of [0, windows.length - 1, windows.length + 32768]) {
    assert.throws(() => joinZtoc(head, new Uint8Array(length)), ZtocError);
  }
  for (const none of [new Uint8Array(0), new Uint8Array(1000), windows]) {
    assert.throws(() => splitZtoc(none), ZtocError);
    assert.throws(() => windowBytes(none), ZtocError);
  }
});
