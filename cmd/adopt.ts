/**
 * `soci-deno adopt`: a host changes from the existing daemon to this one, or back.
 * @module
 */
import type { Containerd } from "../lib/remote/containerd/mod.ts";
import {
  clearOrphans,
  findOrphans,
  oldState,
  type Orphans,
  putAside,
  type StateOwner,
  whyNotYet,
} from "../lib/images/switching/mod.ts";
import { type Command, noArgument, parseCommandLine } from "./command.ts";
import { SESSION_OPTIONS, snapshotterOf } from "./flags.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";
import { Session } from "./session.ts";

const HELP = `
Take the place of the existing SOCI daemon on a host. containerd has records of that daemon's
snapshots, and images that are made of them cannot be pulled or started while these are there.
This shows the records and images that have to go. With --yes it clears them from containerd and
puts that daemon's state aside below the root; then start soci-deno and pull the images again
(Kubernetes does so by itself). Indexes and ztocs stay.

Stop the existing daemon and the containers on its snapshots before (drain the node). containerd
has to run.

Usage: soci-deno adopt [flags]

Flags:
  --yes                   do it; without it nothing is changed
  --back                  the other way: clear soci-deno's snapshots and put its state aside, so
                          that the existing daemon, or an older release, starts anew
  --root DIR              the daemons' root (default ${DEFAULT_ROOT};
                          also SOCI_SNAPSHOTTER_ROOT)
  --snapshotter NAME      its name in containerd's configuration (default soci;
                          also CONTAINERD_SNAPSHOTTER)
  -a, --address SOCKET    containerd's socket (also CONTAINERD_ADDRESS)
  --timeout DURATION      give up after this time, such as 30s or 5m (default: never)
  --debug                 tell each request on stderr

Exit code 1 when it cannot be done now, and the line says what to do first.
`;

/** The `adopt` subcommand. */
export const adoptCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        yes: { type: "boolean", default: false },
        back: { type: "boolean", default: false },
        root: { type: "string" },
        snapshotter: { type: "string" },
        address: SESSION_OPTIONS.address,
        timeout: SESSION_OPTIONS.timeout,
        debug: SESSION_OPTIONS.debug,
      },
    });
    noArgument(positionals, "adopt");
    const root = daemonRoot(values.root);
    const wanted: StateOwner = values.back ? "soci-deno" : "existing daemon";
    const why = whyNotYet(root, wanted);
    if (why !== null) return refuse(why);
    const state = oldState(root);
    if (state?.owner !== wanted) {
      console.log(nothingToDo(root, state?.owner ?? null, values.back));
      return 0;
    }
    await using session = await Session.open(values);
    const { signal } = session;
    const { connectContainerd } = await import(
      "../lib/remote/containerd/mod.ts"
    );
    const connect = (namespace: string): Promise<Containerd> =>
      connectContainerd(session.address, {
        namespace,
        signal,
        snapshotter: snapshotterOf(values.snapshotter),
      });
    const found: Orphans[] = [];
    using containerd = await connect(session.namespace);
    for (const namespace of await containerd.namespaces({ signal })) {
      using there = await connect(namespace);
      const orphans = await findOrphans(
        namespace,
        there,
        state.snapshots,
        signal,
      );
      if (orphans.snapshots.length > 0) found.push(orphans);
    }
    console.log(describe(root, state.owner, state.snapshots.length, found));
    if (!values.yes) {
      console.log("\nNothing was changed. With --yes it is done.");
      return 0;
    }
    for (const orphans of found) {
      using there = await connect(orphans.namespace);
      const left = await clearOrphans(orphans, there, signal);
      if (left > 0) {
        return refuse(
          `${left} snapshots of namespace ${orphans.namespace} stay, because others that soci-deno does not know are built on them: remove the containers and images that use them, and run this again`,
        );
      }
    }
    console.log(`\nDone. Put aside in ${putAside(root, wanted)}`);
    console.log(
      values.back
        ? "Now start the existing daemon, or the older release, and pull the images again."
        : "Now start soci-deno and pull the images again. Remove that folder when you will not go back.",
    );
    return 0;
  },
};

function refuse(why: string): number {
  console.error(`soci-deno adopt: ${why}`);
  return 1;
}

function nothingToDo(
  root: string,
  owner: StateOwner | null,
  back: boolean,
): string {
  if (owner === null) return `no daemon has snapshots below ${root}`;
  return back
    ? `the snapshots below ${root} are the existing daemon's already`
    : `the snapshots below ${root} are soci-deno's already`;
}

function describe(
  root: string,
  owner: StateOwner,
  count: number,
  found: readonly Orphans[],
): string {
  const whose = owner === "soci-deno" ? "soci-deno" : "the existing daemon";
  const lines = [`${root} holds ${count} snapshots of ${whose}.`];
  if (found.length === 0) return `${lines[0]} containerd knows none of them.`;
  lines.push("To be cleared from containerd:");
  for (const { namespace, images, snapshots } of found) {
    const layers = snapshots.filter(({ kind }) => kind === "committed").length;
    lines.push(
      `  namespace ${namespace}: ${layers} snapshots of layers, ${
        snapshots.length - layers
      } of containers`,
      ...images.map((image) => `    image ${image}`),
      ...snapshots.filter(({ kind }) => kind !== "committed")
        .map(({ key }) => `    container snapshot ${key}`),
    );
  }
  return lines.join("\n");
}
