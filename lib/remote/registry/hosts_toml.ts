/** The text of a `hosts.toml`, as containerd reads it (its docs/hosts.md). @module */
import { parse, TomlError } from "smol-toml";
import { logger } from "../../telemetry/mod.ts";
import { isLoopback, type TlsOptions } from "../network/mod.ts";
import type {
  Capability,
  HostOptions,
  Mirror,
  PlaceOptions,
} from "./options.ts";

const log = logger("registry");

/** A hosts directory holds something that cannot be used. */
export class HostsDirError extends Error {
  static {
    this.prototype.name = "HostsDirError";
  }
}

type Table = Record<string, unknown>;

const CAPABILITIES: readonly Capability[] = [
  ...["pull", "resolve", "push", "referrers"] as const,
];
/** Of a host, and of the file itself, which speaks of the server. */
const HOST_KEYS = [
  ...["capabilities", "ca", "client", "skip_verify", "header"],
  ...["override_path", "dial_timeout"],
];
const FILE_KEYS = [...HOST_KEYS, "server", "host"];
const UNIT_MS: Readonly<Record<string, number>> = {
  ...{ ns: 1e-6, us: 1e-3, "µs": 1e-3, ms: 1 },
  ...{ s: 1000, m: 60_000, h: 3_600_000 },
};

/** What is read beside the text: a file's text, null when there is none. */
export type ReadFile = (path: string) => string | null;

/**
 * Parses the text of a `hosts.toml`. A key that is not known is a warning, as for containerd.
 * @param folder where its relative paths start. @param readFile reads what it names.
 * @throws HostsDirError
 */
export function parseHosts(
  toml: string,
  folder: string,
  readFile: ReadFile,
): HostOptions {
  const file = `${folder}/hosts.toml`;
  let root: Table;
  try {
    root = parse(toml);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw new HostsDirError(
      `${file}:${cause.line}: ${cause.message.split("\n")[0]}`,
      { cause },
    );
  }
  const reader = new HostReader(file, folder, readFile);
  reader.warnOfUnknown(root, FILE_KEYS, "");
  const hosts = reader.table(root.host, "host");
  const mirrors = Object.entries(hosts).map(([url, value]) =>
    reader.mirror(url, reader.table(value, `host."${url}"`))
  );
  const server = root.server === undefined
    ? undefined
    : reader.url(root.server, "server");
  const settings = reader.settings(root, "server");
  return {
    mirrors,
    server: { ...settings, ...(server !== undefined && { url: server }) },
  };
}

class HostReader {
  constructor(
    private readonly file: string,
    private readonly folder: string,
    private readonly readFile: ReadFile,
  ) {}

  fail(where: string, why: string): HostsDirError {
    return new HostsDirError(`${this.file}: ${where} ${why}`);
  }

  warnOfUnknown(table: Table, known: readonly string[], where: string): void {
    for (const key of Object.keys(table)) {
      if (known.includes(key)) continue;
      const { file } = this;
      log.warn("unknown key, it has no effect", { file, key, table: where });
    }
  }

  table(value: unknown, where: string): Table {
    if (value === undefined) return {};
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.fail(where, "is no table");
    }
    return value as Table;
  }

  /**
   * containerd's rule for addresses without a scheme: HTTP for loopback hosts, HTTPS for others.
   */
  url(value: unknown, where: string): string {
    if (typeof value !== "string") throw this.fail(where, "is no address");
    const text = /^https?:\/\//.test(value)
      ? value
      : `${isLoopback(value.split("/")[0]!) ? "http" : "https"}://${value}`;
    if (URL.parse(text) === null) throw this.fail(where, "is no address");
    return text;
  }

  mirror(url: string, table: Table): Mirror {
    const where = `host."${url}"`;
    this.warnOfUnknown(table, HOST_KEYS, where);
    const said = table.capabilities ?? CAPABILITIES;
    if (
      !Array.isArray(said) ||
      !said.every((one) => CAPABILITIES.includes(one as Capability))
    ) {
      throw this.fail(where, `capabilities are ${CAPABILITIES.join(", ")}`);
    }
    return {
      url: this.url(url, where),
      capabilities: said,
      ...this.settings(table, where),
    };
  }

  settings(table: Table, where: string): PlaceOptions {
    const caCerts = this.paths(table.ca, `${where} ca`).map((path) =>
      this.read(path)
    );
    const clientCert = this.client(table.client, where);
    const skipVerify = this.flag(table.skip_verify, `${where} skip_verify`);
    const tls: TlsOptions = {
      ...(caCerts.length > 0 && { caCerts }),
      ...(clientCert !== null && { clientCert }),
      ...(skipVerify && { skipVerify }),
    };
    const headers = Object.fromEntries(
      Object.entries(this.table(table.header, `${where} header`))
        .map(([name, value]) => [name, [value].flat().join(", ")]),
    );
    return {
      ...(Object.keys(tls).length > 0 && { tls }),
      ...(Object.keys(headers).length > 0 && { headers }),
      ...this.dialTimeout(table.dial_timeout, `${where} dial_timeout`),
      ...(this.flag(table.override_path, `${where} override_path`) &&
        { overridePath: true }),
    };
  }

  /** A duration as Go writes it: `1m30s`, `500ms`. */
  dialTimeout(value: unknown, where: string): { dialMs?: number } {
    if (value === undefined || value === "") return {};
    const parts = typeof value === "string" &&
        /^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(value)
      ? [...value.matchAll(/([\d.]+)([a-zµ]+)/g)]
      : [];
    if (parts.length === 0) {
      throw this.fail(where, "is no duration such as 500ms or 3s");
    }
    const dialMs = parts.reduce(
      (sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit!] ?? 0),
      0,
    );
    return dialMs > 0 ? { dialMs } : {};
  }

  flag(value: unknown, where: string): boolean {
    if (value === undefined) return false;
    if (typeof value !== "boolean") {
      throw this.fail(where, "is no true or false");
    }
    return value;
  }

  paths(value: unknown, where: string): string[] {
    const list = value === undefined ? [] : [value].flat();
    if (!list.every((one) => typeof one === "string")) {
      throw this.fail(where, "is no path");
    }
    return list as string[];
  }

  /** One file with certificate and key, or the first pair given. */
  client(
    value: unknown,
    where: string,
  ): { cert: string; key: string } | null {
    if (value === undefined) return null;
    const first = Array.isArray(value) ? value[0] : value;
    const [cert, key = cert] = this.paths(first, `${where} client`);
    if (cert === undefined) return null;
    return { cert: this.read(cert), key: this.read(key!) };
  }

  read(path: string): string {
    const whole = path.startsWith("/") ? path : `${this.folder}/${path}`;
    const text = this.readFile(whole);
    if (text === null) throw this.fail(path, "is not there");
    return text;
  }
}
