/**
 * The subcommands, in the order the overview shows them. Each is loaded when it is called, so parts that
 * it does not use (libc, gRPC) cost it neither time nor permissions.
 * @module
 */
import type { Command } from "./command.ts";

/** A word on the command line. */
interface Word {
  /** Whether the overview leaves it out: the program calls it, people do not. */
  readonly hidden?: true;
  readonly name: string;
  /** Other words for it. */
  readonly aliases?: readonly string[];
  /** One line for the overview. */
  readonly summary: string;
}

/** A subcommand before it is loaded. */
export interface SingleCommand extends Word {
  load(): Promise<Command>;
}

/** A word that is followed by another one: `index list`. */
export interface CommandGroup extends Word {
  readonly commands: readonly SingleCommand[];
}

/** What a word of the command line leads to. */
export type CommandEntry = SingleCommand | CommandGroup;

/** Every subcommand of the binary. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "serve",
    summary: "run the snapshotter daemon for containerd",
    load: async () => {
      (await import("./hangup.ts")).surviveHangups();
      return (await import("./serve.ts")).serveCommand;
    },
  },
  {
    name: "status",
    summary: "show what the running daemon serves and holds",
    load: async () => (await import("./status.ts")).statusCommand,
  },
  {
    name: "stop",
    summary: "end the daemon and unmount its layers, whether or not it runs",
    load: async () => (await import("./stop.ts")).stopCommand,
  },
  {
    name: "debug",
    summary: "collect what a bug report needs, trace reads",
    commands: [
      {
        name: "snapshot",
        summary: "write one file to attach to a bug report",
        load: async () =>
          (await import("./debug/snapshot.ts")).debugSnapshotCommand,
      },
      {
        name: "trace",
        summary: "print the reads of lazy layers for a while",
        load: async () => (await import("./debug/trace.ts")).debugTraceCommand,
      },
    ],
  },
  {
    name: "doctor",
    summary: "tell what keeps this host from lazy starts, and what to do",
    load: async () => (await import("./doctor.ts")).doctorCommand,
  },
  {
    name: "adopt",
    summary:
      "take the place of the existing daemon on its root, or give it back",
    load: async () => (await import("./adopt.ts")).adoptCommand,
  },
  {
    name: "gc",
    summary: "remove the caches of layers nobody uses",
    load: async () => (await import("./gc.ts")).gcCommand,
  },
  {
    name: "build-index",
    aliases: ["create"],
    summary: "make and push the SOCI index of an image",
    load: async () => (await import("./build_index.ts")).buildIndexCommand,
  },
  {
    name: "convert",
    summary: "make a SOCI-enabled copy of an image (v2)",
    load: async () => (await import("./convert.ts")).convertCommand,
  },
  {
    name: "push",
    summary: "push indexes that were made here",
    load: async () => (await import("./push.ts")).pushCommand,
  },
  {
    name: "copy",
    summary: "copy an image with its indexes to another registry",
    load: async () => (await import("./copy.ts")).copyCommand,
  },
  {
    name: "inspect",
    summary: "tell which index an image has and what it saves",
    load: async () => (await import("./inspect.ts")).inspectCommand,
  },
  {
    name: "index",
    summary: "list, show or remove the indexes on this machine",
    commands: [
      {
        name: "list",
        aliases: ["ls"],
        summary: "list indexes",
        load: async () => (await import("./index/list.ts")).indexListCommand,
      },
      {
        name: "info",
        summary: "print an index",
        load: async () => (await import("./index/info.ts")).indexInfoCommand,
      },
      {
        name: "remove",
        aliases: ["rm"],
        summary: "remove indexes",
        load: async () =>
          (await import("./index/remove.ts")).indexRemoveCommand,
      },
    ],
  },
  {
    name: "ztoc",
    summary: "list or show the ztocs on this machine, take a file out",
    commands: [
      {
        name: "list",
        aliases: ["ls"],
        summary: "list ztocs",
        load: async () => (await import("./ztoc/list.ts")).ztocListCommand,
      },
      {
        name: "info",
        summary: "print what a ztoc holds",
        load: async () => (await import("./ztoc/info.ts")).ztocInfoCommand,
      },
      {
        name: "get-file",
        summary: "take one file out of a layer",
        load: async () =>
          (await import("./ztoc/get_file.ts")).ztocGetFileCommand,
      },
    ],
  },
  {
    name: "prefetch",
    summary: "list or show the prefetch lists on this machine",
    commands: [
      {
        name: "list",
        aliases: ["ls"],
        summary: "list prefetch lists",
        load: async () =>
          (await import("./prefetch/list.ts")).prefetchListCommand,
      },
      {
        name: "info",
        summary: "print a prefetch list",
        load: async () =>
          (await import("./prefetch/info.ts")).prefetchInfoCommand,
      },
    ],
  },
  {
    name: "rebuild-db",
    summary: "find the indexes that the content store holds",
    load: async () => (await import("./rebuild_db.ts")).rebuildDbCommand,
  },
  {
    name: "pull",
    summary: "pull an image lazily into containerd",
    load: async () => (await import("./pull.ts")).pullCommand,
  },
  {
    name: "content",
    summary: "bring the compressed layers of an image into containerd",
    commands: [
      {
        name: "fetch",
        summary: "bring the compressed layers of an image into containerd",
        load: async () =>
          (await import("./content/fetch.ts")).contentFetchCommand,
      },
    ],
  },
  {
    name: "record",
    summary: "note which bytes a workload reads first",
    load: async () => (await import("./record.ts")).recordCommand,
  },
  {
    name: "order",
    summary: "merge recordings, show them, publish them as load orders",
    commands: [
      {
        name: "show",
        summary: "print what a recording touches, by file, layer and class",
        load: async () => (await import("./order/show.ts")).orderShowCommand,
      },
      {
        name: "merge",
        summary: "make one recording of several",
        load: async () => (await import("./order/merge.ts")).orderMergeCommand,
      },
      {
        name: "push",
        summary: "put a load order beside its image",
        load: async () => (await import("./order/push.ts")).orderPushCommand,
      },
      {
        name: "list",
        aliases: ["ls"],
        summary: "list the load orders of an image",
        load: async () => (await import("./order/list.ts")).orderListCommand,
      },
      {
        name: "remove",
        aliases: ["rm"],
        summary: "remove load orders of an image",
        load: async () =>
          (await import("./order/remove.ts")).orderRemoveCommand,
      },
    ],
  },
  {
    name: "mount",
    summary: "mount an image as a directory before it is downloaded",
    load: async () => (await import("./mount.ts")).mountCommand,
  },
  {
    name: "umount",
    aliases: ["unmount"],
    summary: "unmount a directory that `mount` filled",
    load: async () => (await import("./umount.ts")).umountCommand,
  },
  {
    name: "config",
    summary: "print the daemon's default or effective configuration",
    load: async () => (await import("./config.ts")).configCommand,
  },
  {
    name: "install",
    summary: "put units and configuration on this host, and tell containerd",
    load: async () => (await import("./install.ts")).installCommand,
  },
  {
    name: "uninstall",
    summary: "take back what `install` wrote",
    load: async () => (await import("./uninstall.ts")).uninstallCommand,
  },
  {
    name: "completion",
    summary: "print the script by which a shell completes command lines",
    load: async () => (await import("./completion.ts")).completionCommand,
  },
  {
    name: "licences",
    aliases: ["licenses"],
    summary: "print the licences of this program and of what is inside it",
    load: async () => (await import("./licences.ts")).licencesCommand,
  },
  {
    name: "mount-helper", // program.ts calls it so
    hidden: true,
    summary: "make the daemon's mounts",
    load: async () => (await import("./mount_helper.ts")).mountHelperCommand,
  },
];

/** The subcommands under the name `soci`: those of the existing tool keep to the local store. */
export const SOCI_COMMANDS: readonly CommandEntry[] = [
  {
    name: "create",
    summary: "make the SOCI index of an image, here",
    load: async () => (await import("./create.ts")).createCommand,
  },
  ...COMMANDS.map((entry): CommandEntry => {
    if (entry.name === "build-index") return { ...entry, aliases: [] };
    if (entry.name !== "push") return entry;
    return {
      ...entry,
      load: async () => (await import("./push.ts")).sociPushCommand,
    };
  }),
];
