import { parse, TomlError } from "smol-toml";
import { namesIn, readTextIfThere } from "../../host/files/mod.ts";
import { isLoopback } from "./endpoint.ts";
import type { Capability, HostOptions, Mirror } from "./options.ts";
import type { TlsOptions } from "./tls.ts";

/** A hosts directory holds something that cannot be used. */
export class HostsDirError extends Error {
  static {
    this.prototype.name = "HostsDirError";
  }
}

type Table = Record<string, unknown>;

const CAPABILITIES: readonly Capability[] = ["pull", "resolve", "push"];
const KEYS = new Set([
  "capabilities",
  "ca",
  "client",
  "skip_verify",
  "header",
  "override_path",
  "server",
  "host",
  "dial_timeout",
]);

/**
 * Reads a directory of registry hosts as containerd does (its docs/hosts.md):
 * `<folder>/<host>/hosts.toml`, or `_default`. If a host's folder holds only certificates (`*.crt`,
 * and pairs of `*.cert` and `*.key`), they are used as in Docker.
 *
 * The returned function reads a host's files once, when it is first called for that host.
 * @throws HostsDirError (from the returned function) if a file cannot be used.
 */
export function hostsDir(
  folder: string,
): (host: string) => HostOptions | undefined {
  const known = new Map<string, HostOptions | undefined>();
  return (host) => {
    if (!known.has(host)) known.set(host, readHost(folder, host));
    return known.get(host);
  };
}

function readHost(folder: string, host: string): HostOptions | undefined {
  const names = [host, host.replace(/:(\d+)$/, "_$1_"), "_default"];
  for (const name of names) {
    const place = `${folder}/${name}`;
    const toml = readTextIfThere(`${place}/hosts.toml`);
    if (toml !== null) return parseHosts(toml, place);
    if (name !== "_default") {
      const tls = readCertificates(place);
      if (tls !== null) return { mirrors: [], server: { tls } };
    }
  }
  return undefined;
}

/** Parses the text of a `hosts.toml`. @param folder where its relative paths start. */
export function parseHosts(toml: string, folder: string): HostOptions {
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
  const reader = new HostReader(file, folder);
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
  constructor(private readonly file: string, private readonly folder: string) {}

  fail(where: string, why: string): HostsDirError {
    return new HostsDirError(`${this.file}: ${where} ${why}`);
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
    const unknown = Object.keys(table).find((key) => !KEYS.has(key));
    if (unknown !== undefined) throw this.fail(where, `has no key ${unknown}`);
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

  settings(table: Table, where: string): Omit<Mirror, "url" | "capabilities"> {
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
      ...(this.flag(table.override_path, `${where} override_path`) &&
        { overridePath: true }),
    };
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
    const text = readTextIfThere(whole);
    if (text === null) throw this.fail(path, "is not there");
    return text;
  }
}

/** Reads a folder of certificates by Docker's convention. */
function readCertificates(folder: string): TlsOptions | null {
  const names = namesIn(folder).sort();
  const read = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
  const caCerts = names.filter((name) => name.endsWith(".crt")).map(read);
  const cert = names.find((name) =>
    name.endsWith(".cert") && names.includes(name.replace(/cert$/, "key"))
  );
  if (caCerts.length === 0 && cert === undefined) return null;
  return {
    ...(caCerts.length > 0 && { caCerts }),
    ...(cert !== undefined && {
      clientCert: { cert: read(cert), key: read(cert.replace(/cert$/, "key")) },
    }),
  };
}
