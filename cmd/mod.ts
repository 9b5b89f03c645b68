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
  /** Kinds of permission it uses; `main` gives up all others before it is loaded. */
  readonly needs: readonly Deno.PermissionName[];
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

const ALL = ["read", "write", "net", "env", "run", "ffi"] as const;
/** Of the index tools: `run` and `ffi` are for credential helpers and for what lib/os wraps. */
const STORE = ["read", "write", "net", "env", "run", "ffi"] as const;

/** Every subcommand of the binary. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "serve",
    summary: "run the snapshotter daemon for containerd",
    needs: ALL,
    load: async () => {
      (await import("./hangup.ts")).surviveHangups();
      return (await import("./serve.ts")).serveCommand;
    },
  },
  {
    name: "status",
    summary: "show what the running daemon serves and holds",
    needs: ["read", "write", "net", "env", "ffi"],
    load: async () => (await import("./status.ts")).statusCommand,
  },
  {
    name: "stop",
    summary: "end the daemon and unmount its layers, whether or not it runs",
    needs: ["read", "write", "net", "env", "ffi"],
    load: async () => (await import("./stop.ts")).stopCommand,
  },
  {
    name: "gc",
    summary: "remove the caches of layers nobody uses",
    needs: ["read", "write", "env", "ffi"],
    load: async () => (await import("./gc.ts")).gcCommand,
  },
  {
    name: "build-index",
    aliases: ["create"],
    summary: "make and push the SOCI index of an image",
    needs: STORE,
    load: async () => (await import("./build_index.ts")).buildIndexCommand,
  },
  {
    name: "convert",
    summary: "make a SOCI-enabled copy of an image (v2)",
    needs: STORE,
    load: async () => (await import("./convert.ts")).convertCommand,
  },
  {
    name: "push",
    summary: "push indexes that were made here",
    needs: STORE,
    load: async () => (await import("./push.ts")).pushCommand,
  },
  {
    name: "inspect",
    summary: "tell which index an image has and what it saves",
    needs: STORE,
    load: async () => (await import("./inspect.ts")).inspectCommand,
  },
  {
    name: "index",
    summary: "list, show or remove the indexes on this machine",
    needs: STORE,
    commands: [
      {
        name: "list",
        aliases: ["ls"],
        summary: "list indexes",
        needs: STORE,
        load: async () => (await import("./index/list.ts")).indexListCommand,
      },
      {
        name: "info",
        summary: "print an index",
        needs: STORE,
        load: async () => (await import("./index/info.ts")).indexInfoCommand,
      },
      {
        name: "remove",
        aliases: ["rm"],
        summary: "remove indexes",
        needs: STORE,
        load: async () =>
          (await import("./index/remove.ts")).indexRemoveCommand,
      },
    ],
  },
  {
    name: "ztoc",
    summary: "list or show the ztocs on this machine, take a file out",
    needs: STORE,
    commands: [
      {
        name: "list",
        aliases: ["ls"],
        summary: "list ztocs",
        needs: STORE,
        load: async () => (await import("./ztoc/list.ts")).ztocListCommand,
      },
      {
        name: "info",
        summary: "print what a ztoc holds",
        needs: STORE,
        load: async () => (await import("./ztoc/info.ts")).ztocInfoCommand,
      },
      {
        name: "get-file",
        summary: "take one file out of a layer",
        needs: STORE,
        load: async () =>
          (await import("./ztoc/get_file.ts")).ztocGetFileCommand,
      },
    ],
  },
  {
    name: "prefetch",
    summary: "list or show the prefetch lists on this machine",
    needs: STORE,
    commands: [
      {
        name: "list",
        aliases: ["ls"],
        summary: "list prefetch lists",
        needs: STORE,
        load: async () =>
          (await import("./prefetch/list.ts")).prefetchListCommand,
      },
      {
        name: "info",
        summary: "print a prefetch list",
        needs: STORE,
        load: async () =>
          (await import("./prefetch/info.ts")).prefetchInfoCommand,
      },
    ],
  },
  {
    name: "rebuild-db",
    summary: "find the indexes that the content store holds",
    needs: STORE,
    load: async () => (await import("./rebuild_db.ts")).rebuildDbCommand,
  },
  {
    name: "pull",
    summary: "pull an image lazily into containerd",
    needs: ALL,
    load: async () => (await import("./pull.ts")).pullCommand,
  },
  {
    name: "record",
    summary: "note which bytes a workload reads first",
    needs: ALL,
    load: async () => (await import("./record.ts")).recordCommand,
  },
  {
    name: "order",
    summary: "merge recordings, show them, publish them as load orders",
    needs: STORE,
    commands: [
      {
        name: "show",
        summary: "print what a recording touches, by file, layer and class",
        needs: STORE,
        load: async () => (await import("./order/show.ts")).orderShowCommand,
      },
      {
        name: "merge",
        summary: "make one recording of several",
        needs: STORE,
        load: async () => (await import("./order/merge.ts")).orderMergeCommand,
      },
      {
        name: "push",
        summary: "put a load order beside its image",
        needs: STORE,
        load: async () => (await import("./order/push.ts")).orderPushCommand,
      },
      {
        name: "list",
        aliases: ["ls"],
        summary: "list the load orders of an image",
        needs: STORE,
        load: async () => (await import("./order/list.ts")).orderListCommand,
      },
      {
        name: "remove",
        aliases: ["rm"],
        summary: "remove load orders of an image",
        needs: STORE,
        load: async () =>
          (await import("./order/remove.ts")).orderRemoveCommand,
      },
    ],
  },
  {
    name: "mount",
    summary: "mount an image as a directory before it is downloaded",
    needs: ALL,
    load: async () => (await import("./mount.ts")).mountCommand,
  },
  {
    name: "umount",
    aliases: ["unmount"],
    summary: "unmount a directory that `mount` filled",
    needs: ["read", "env", "ffi"],
    load: async () => (await import("./umount.ts")).umountCommand,
  },
  {
    name: "config",
    summary: "print the daemon's default or effective configuration",
    needs: ["read", "env"],
    load: async () => (await import("./config.ts")).configCommand,
  },
  {
    name: "mount-helper", // program.ts calls it so
    hidden: true,
    summary: "make the daemon's mounts",
    needs: ["ffi"],
    load: async () => (await import("./mount_helper.ts")).mountHelperCommand,
  },
];

/** The subcommands under the name `soci`: those of the existing tool keep to the local store. */
export const SOCI_COMMANDS: readonly CommandEntry[] = [
  {
    name: "create",
    summary: "make the SOCI index of an image, here",
    needs: STORE,
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
