/**
 * The plan of the modules: the order of the wings, and the exceptions, each with its reason. If you add
 * a wing or a long file, add it here.
 * @module
 */

/** The parameters of the module rules. */
export interface Plan {
  /** Wings of `lib/`, the highest first. Imports run down this list. */
  readonly wings: readonly string[];
  /** Rooms that all wings may use. They import only each other. */
  readonly shared: readonly string[];
  /** Rooms that may use only certain rooms, and why. All others may use everything below them. */
  readonly narrow: Readonly<Record<string, Narrow>>;
  /** Wings that use neither the machine nor the clock. */
  readonly pure: readonly string[];
  /** The most lines a file may have. */
  readonly longest: number;
  /** Files that may be longer, and why. */
  readonly long: Readonly<Record<string, string>>;
  /** Folders with generated files, which may be long. */
  readonly generated: readonly string[];
  /** Exports that only tests use but that belong to the product, as `file name`, and why. */
  readonly forTests: Readonly<Record<string, string>>;
  /** Files that may use `import.meta.url`, and why. */
  readonly knowTheirPlace: Readonly<Record<string, string>>;
}

/** The rooms a narrow room may use, from `lib/`. */
export interface Narrow {
  readonly uses: readonly string[];
  readonly why: string;
}

/** The plan of this repository. */
export const PLAN: Plan = {
  wings: ["images", "indexes", "layers", "remote", "host", "formats"],
  shared: ["config", "telemetry"],
  narrow: {
    "host/os": {
      uses: [],
      why: "calls into libc, and nothing of what they are for",
    },
    "host/fuse": {
      uses: ["host/os", "host/mounting"],
      why: "a kernel's protocol, and neither layers nor formats",
    },
    "layers/presence": {
      uses: [],
      why:
        "the values of a byte, which FUSE Workers read: they load nothing else with it",
    },
  },
  pure: ["formats"],
  longest: 450,
  long: {
    "lib/host/fuse/loop.ts":
      "the loop that answers the kernel: one function a request, read as one table",
    "lib/layers/fs/handler.ts":
      "one method for each request the kernel can make of a layer",
  },
  generated: [
    "lib/remote/containerd/gen",
    "lib/formats/deflate/kernel.gen.ts",
    "cmd/completion/lines.ts",
  ],
  forTests: {
    "lib/formats/ztoc/checkpoints.ts encodeCheckpoints":
      "the other half of a codec: what is read and written again is compared",
  },
  knowTheirPlace: {
    "cmd/own_files.ts":
      "names this program's modules, which a command's Worker loads",
    "cmd/program.ts": "starts this program again, as the helper",
  },
};
