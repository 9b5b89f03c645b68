/** `soci-deno order list`. @module */
import { listOrders, openOrderedImage } from "../../lib/images/order/mod.ts";
import { parseReference } from "../../lib/remote/registry/mod.ts";
import { platformFlag } from "../platform_flags.ts";
import {
  type Command,
  formatBytes,
  onlyArgument,
  parseCommandLine,
} from "../command.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "../registry_flags.ts";
import { StopSignal } from "../stop_signal.ts";
import { table } from "../table.ts";

const HELP = `
List the load orders of an image in its registry.

Usage: soci-deno order list [flags] IMAGE      (also: order ls)

Flags:
  --platform OS/ARCH      which image of a multi-platform one (default: this machine's)
  -q, --quiet             digests alone
  --json                  the list as JSON
${REGISTRY_HELP}
`;

/** The `order list` subcommand. */
export const orderListCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        platform: { type: "string" },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const name = onlyArgument(positionals, "order list IMAGE");
    const reference = parseReference(name);
    using client = registryClient(values, reference.host);
    using stop = new StopSignal();
    const { signal } = stop;
    const platform = platformFlag(values.platform);
    const image = await openOrderedImage(client, reference, platform, signal);
    const orders = await listOrders(
      image,
      signal,
      ({ digest }, { message }) =>
        console.error(`${digest} cannot be read: ${message}`),
    );
    if (values.json) {
      const told = orders.map(({ descriptor: { digest }, ...rest }) => ({
        digest,
        ...rest,
      }));
      console.log(JSON.stringify(told, null, 2));
    } else if (values.quiet) {
      for (const { descriptor } of orders) console.log(descriptor.digest);
    } else {
      console.log(table([
        ["DIGEST", "WORKLOAD", "PLATFORM", "PINNED", "PLAN", "PACK"],
        ...orders.map((one) => [
          one.descriptor.digest,
          one.workload,
          one.platform,
          one.isPinned ? "yes" : "no",
          formatBytes(one.planBytes),
          one.packBytes === 0 ? "none" : formatBytes(one.packBytes),
        ]),
      ]));
    }
    return 0;
  },
};
