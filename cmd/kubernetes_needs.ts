/** What Kubernetes' configuration and the kubelet's plugins need, where the daemon's configuration wants them. @module */
import { dirname, resolve } from "node:path";
import { hostWithPort } from "../lib/remote/network/mod.ts";
import type { Line } from "./grants.ts";
import { textOf } from "./registry_needs.ts";

/** The login of a pod. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Files that a kubeconfig names; those with its data in place are other keys. */
const FILES =
  /\b(?:certificate-authority|client-certificate|client-key|tokenFile)["']?\s*:\s*["']?([^"'\n,}]+)/g;
/** The program that logs in. */
const PROGRAM = /\bcommand["']?\s*:\s*["']?([^"'\n,}]+)/g;
const SERVER = /\bserver["']?\s*:\s*["']?(https?:\/\/[^\s"',}]+)/g;
/** A plugin's name in the kubelet's configuration. */
const PLUGIN = /\bname["']?\s*:\s*["']?([\w.-]+)/g;

/** What the daemon's configuration says. */
export interface Said {
  /** Its text. */
  readonly text: string;
  /** Paths that it names. */
  readonly paths: readonly string[];
}

/** Where Kubernetes' configuration is looked for. */
function places({ env }: Line): string[] {
  return (env("KUBECONFIG") ?? `${env("HOME") ?? "/root"}/.kube/config`)
    .split(":").filter((path) => path !== "");
}

function found(line: Line, said: Said, what: RegExp): string[][] {
  if (!/kubeconfig_keychain/i.test(said.text)) return [];
  return [...places(line), ...said.paths].flatMap((path) =>
    [...textOf(path).matchAll(what)].map(([, name]) => [path, name!.trim()])
  );
}

function beside([path, name]: string[]): string {
  return resolve(dirname(path!), name!);
}

/** Files that are read. */
export function kubernetesFiles(line: Line, said: Said): string[] {
  return [
    ...[ACCOUNT, ...places(line)],
    ...found(line, said, FILES).map(beside),
  ];
}

/** Programs that are run: of a kubeconfig, and the kubelet's plugins. */
export function kubernetesPrograms(line: Line, said: Said): string[] {
  const programs = found(line, said, PROGRAM).map((one) =>
    one[1]!.includes("/") ? beside(one) : one[1]!
  );
  if (!/credential_provider/i.test(said.text)) return programs;
  const names = said.paths.flatMap((path) =>
    [...textOf(path).matchAll(PLUGIN)].map(([, name]) => name!)
  );
  const plugins = said.paths.flatMap((folder) =>
    names.map((name) => `${folder}/${name}`)
  );
  return [...programs, ...plugins.filter(isFile)];
}

/** Hosts of its API, with their ports. */
export function kubernetesHosts(line: Line, said: Said): string[] {
  const host = line.env("KUBERNETES_SERVICE_HOST");
  const port = line.env("KUBERNETES_SERVICE_PORT") ?? "443";
  const own = host === undefined
    ? []
    : [`https://${host.includes(":") ? `[${host}]` : host}:${port}`];
  return [...own, ...found(line, said, SERVER).map(([, url]) => url!)]
    .flatMap((text) => URL.parse(text) ?? [])
    .map(hostWithPort);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // whoever needs it tells
  }
}
