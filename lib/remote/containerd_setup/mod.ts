/**
 * How containerd is told of this snapshotter, and what of that is wrong. containerd itself says nothing: where its
 * configuration is not as its release reads it, it goes on with overlayfs.
 *
 * It may read containerd's configuration and the files that this imports, and changes nothing.
 *
 * ```ts
 * import { checkSetup, parseContainerdConfig } from "./mod.ts";
 *
 * const config = parseContainerdConfig("config.toml", 'root = "/var/lib/containerd"');
 * const expected = { release: "1.7.24", snapshotter: "soci", socket: "/run/soci.sock", root: "/var/lib/soci", cri: true };
 * for (const { text, fix } of checkSetup(config, expected)) console.log(`${text}: ${fix}`);
 * ```
 * @module
 */
export {
  type ContainerdConfig,
  ContainerdConfigError,
  parseContainerdConfig,
  readContainerdConfig,
  type Table,
} from "./config.ts";
export {
  checkSetup,
  type ExpectedSetup,
  type SetupFinding,
} from "./findings.ts";
