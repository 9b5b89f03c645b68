/** An index that nobody made by hand: a node takes an image whole, and pushes what it has learned. @module */
import { pause } from "../../support/host/mod.ts";
import { sociDenoNode } from "./nodes.ts";

const PUSHING = `[eager]
unindexed = ["**"]
index_missing = "push"
`;
const TIMEOUT_MS = 120_000;
const LOOK_MS = 500;
/** Index and companion come one after the other: nothing follows when nothing came for so long, ms. */
const CALM_MS = 4_000;

/**
 * Has a node of its own push an image's index.
 * @param options.referrers what the registry lists of the image, or null. @throws Error when none is pushed
 */
export async function indexInPassing(
  image: string,
  { caFile, referrers }: {
    readonly caFile: string;
    readonly referrers: () => Promise<Uint8Array | null>;
  },
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const node = await sociDenoNode(stack, caFile, PUSHING);
  await node.pull(image);
  let found = 0;
  let calmMs = 0;
  for (let waited = 0; calmMs < CALM_MS; waited += LOOK_MS) {
    if (waited > TIMEOUT_MS) throw new Error(`no index of ${image} is pushed`);
    await pause(LOOK_MS);
    const { length } = await referrers() ?? [];
    calmMs = length > 0 && length === found ? calmMs + LOOK_MS : 0;
    found = length;
  }
}
