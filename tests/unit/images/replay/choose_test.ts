import assert from "node:assert/strict";
import { chooseOrder } from "../../../../lib/images/replay/choose.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  formatPlatform,
  hostPlatform,
} from "../../../../lib/formats/oci/mod.ts";
import {
  type FoundOrder,
  WORKLOAD_LABEL,
} from "../../../../lib/remote/image/mod.ts";

const HERE = formatPlatform(hostPlatform());

function order(
  name: string,
  facts: Partial<Omit<FoundOrder, "descriptor">> = {},
): FoundOrder {
  const digest = sha256(new TextEncoder().encode(name));
  return {
    descriptor: { mediaType: "m", digest, size: 0 },
    workload: "default",
    platform: "",
    isPinned: false,
    ...facts,
  };
}

const wish = (
  label?: string,
  workloads: [string, string][] = [],
  imageWorkload: string | null = null,
) => ({
  labels: label === undefined ? {} : { [WORKLOAD_LABEL]: label },
  imageWorkload,
  repository: { host: "registry.example", repository: "team/app" },
  workloads,
  fits: ({ repository }: { repository: string }, pattern: string) =>
    pattern === repository,
});

const PLAIN = order("plain");
const PINNED = order("pinned", { isPinned: true });
const BATCH = order("batch", { workload: "batch" });

Deno.test("a label names the workload, then the image itself, then a pattern, else it is the default one; and that stands in for one that is missing", () => {
  const orders = [BATCH, PLAIN];
  assert.equal(chooseOrder(orders, wish()), PLAIN);
  assert.equal(chooseOrder(orders, wish("batch")), BATCH);
  assert.equal(chooseOrder(orders, wish("other")), PLAIN);
  const config: [string, string][] = [["x", "other"], ["team/app", "batch"]];
  assert.equal(chooseOrder(orders, wish(undefined, config)), BATCH);
  assert.equal(chooseOrder(orders, wish("default", config)), PLAIN);
  assert.equal(chooseOrder(orders, wish("../..", config)), BATCH);
  assert.equal(chooseOrder(orders, wish(undefined, config, "default")), PLAIN);
  assert.equal(chooseOrder(orders, wish("../..", [], "batch")), BATCH);
  assert.equal(chooseOrder(orders, wish("default", [], "batch")), PLAIN);
  assert.equal(chooseOrder(orders, wish(undefined, [], "other")), PLAIN);
  assert.equal(chooseOrder([BATCH], wish()), null);
});

Deno.test("what the image's digest covers comes before what anybody may have added", () => {
  assert.equal(chooseOrder([PLAIN, PINNED], wish()), PINNED);
  const other = order("other", { workload: "batch", isPinned: true });
  assert.equal(chooseOrder([BATCH, PINNED, other], wish("batch")), other);
  assert.equal(
    chooseOrder([PLAIN, PINNED], wish(), ({ isPinned }) => !isPinned),
    PLAIN,
  );
});

Deno.test("an order of another platform is none", () => {
  const elsewhere = order("elsewhere", { platform: "plan9/mips" });
  const here = order("here", { platform: HERE });
  assert.equal(chooseOrder([elsewhere], wish()), null);
  assert.equal(chooseOrder([elsewhere, here], wish()), here);
  const os = order("os", { platform: HERE.split("/").slice(0, 2).join("/") });
  assert.equal(chooseOrder([os], wish()), os);
  const other = Deno.build.arch === "x86_64" ? "x86-64" : Deno.build.arch;
  const alias = order("alias", { platform: `Linux/${other}` });
  assert.equal(chooseOrder([alias], wish()), alias);
  const variant = order("variant", { platform: `${HERE}/v6` });
  assert.equal(chooseOrder([variant], wish()), variant);
  const none = order("none", { platform: "no platform" });
  assert.equal(chooseOrder([none], wish()), null);
});
