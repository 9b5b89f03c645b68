/**
 * The subcommands, in the order the overview shows them. Each is loaded when it is called: what one
 * does not use (libc, gRPC) costs it neither time nor permissions.
 * @module
 */
import type { Command } from "./command.ts";

/** A subcommand before it is loaded. */
export interface CommandEntry {
  /** The word on the command line. */
  readonly name: string;
  /** Other words for it. */
  readonly aliases?: readonly string[];
  /** One line for the overview. */
  readonly summary: string;
  /** Kinds of permission it uses; `main` gives up all others before it is loaded. */
  readonly needs: readonly Deno.PermissionName[];
  load(): Promise<Command>;
}

const ALL = ["read", "write", "net", "env", "run", "ffi"] as const;

/** Every subcommand of the binary. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "serve",
    summary: "run the snapshotter daemon for containerd",
    needs: ALL,
    load: async () => (await import("./serve.ts")).serveCommand,
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
    needs: ["read", "net", "env", "run", "ffi"],
    load: async () => (await import("./build_index.ts")).buildIndexCommand,
  },
  {
    name: "pull",
    summary: "pull an image lazily into containerd",
    needs: ALL,
    load: async () => (await import("./pull.ts")).pullCommand,
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
];
