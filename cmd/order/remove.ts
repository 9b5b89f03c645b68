/** `soci-deno order remove`. @module */
import {
  type ListedOrder,
  listOrders,
  openOrderedImage,
  removeOrder,
} from "../../lib/images/order/mod.ts";
import { parseReference } from "../../lib/remote/registry/mod.ts";
import { platformFlag } from "../platform_flags.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "../registry_flags.ts";
import { StopSignal } from "../stop_signal.ts";
import { digestArgument } from "../store_session.ts";
import { workloadFlag } from "./common.ts";

const HELP = `
Remove load orders of an image from its registry. One that the image pins stays: it is part of it.

Usage:
  soci-deno order remove [flags] IMAGE DIGEST…           (also: order rm)
  soci-deno order remove [flags] --workload NAME IMAGE

Flags:
  --workload NAME         those of this workload
  --platform OS/ARCH      which image of a multi-platform one (default: this machine's)
  --json                  what was removed as JSON
${REGISTRY_HELP}
`;

/** The `order remove` subcommand. */
export const orderRemoveCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        workload: { type: "string" },
        platform: { type: "string" },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const [name, ...texts] = positionals;
    const workload = workloadFlag(values.workload);
    if (name === undefined || (texts.length > 0) === (workload !== undefined)) {
      throw new UsageError("say `order remove IMAGE DIGEST…`, or --workload");
    }
    const asked = texts.map((text) =>
      digestArgument(text, "order remove IMAGE DIGEST")
    );
    const reference = parseReference(name);
    using client = registryClient(values, reference.host);
    using stop = new StopSignal();
    const { signal } = stop;
    const platform = platformFlag(values.platform);
    const image = await openOrderedImage(client, reference, platform, signal);
    const orders = await listOrders(image, signal, () => {});
    const wanted: ListedOrder[] = workload === undefined
      ? asked.map((digest) => {
        const found = orders.find((one) => one.descriptor.digest === digest);
        if (found !== undefined) return found;
        throw new Error(`${name} has no load order ${digest}`);
      })
      : orders.filter((one) => one.workload === workload);
    if (wanted.length === 0) {
      throw new Error(`${name} has no load order of workload ${workload}`);
    }
    const pinned = wanted.find(({ isPinned }) => isPinned);
    if (pinned !== undefined) {
      throw new Error(
        `${pinned.descriptor.digest} is pinned by the image's index: convert the image again without it`,
      );
    }
    for (const one of wanted) {
      await removeOrder(image, one, signal);
      if (!values.json) console.log(one.descriptor.digest);
    }
    if (values.json) {
      const removed = wanted.map(({ descriptor: { digest } }) => digest);
      console.log(JSON.stringify({ removed }, null, 2));
    }
    return 0;
  },
};
