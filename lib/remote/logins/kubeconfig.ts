/** How Kubernetes' API is reached: kubeconfig, or the pod's own account. @module */
import { dirname, resolve } from "node:path";
import {
  readDocument,
  type Table,
  tableOf,
  tablesOf,
  textOf,
  textsOf,
} from "./documents.ts";
import { LoginSetupError } from "./errors.ts";
import { runForJson } from "./run.ts";

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Kubernetes' API, as the configuration says when it is asked. */
export interface KubernetesApi {
  readonly server: string;
  /** PEM of its authorities beside the system's. */
  readonly caCerts: readonly string[];
  /** Our certificate, PEM. */
  readonly certificate: { readonly cert: string; readonly key: string } | null;
  /** The `Authorization` header; null: none. */
  authorization(): Promise<string | null>;
}

/**
 * Finds the API as kubectl does: the named file, else `$KUBECONFIG`, else the pod's own account, else
 * `~/.kube/config`.
 * @throws LoginSetupError
 */
export function findApi(path: string | null): KubernetesApi {
  const named = path ?? Deno.env.get("KUBECONFIG")?.split(":")[0];
  if (named) return ofFile(named);
  const host = Deno.env.get("KUBERNETES_SERVICE_HOST");
  if (host) {
    const port = Deno.env.get("KUBERNETES_SERVICE_PORT") || "443";
    return {
      server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
      caCerts: [read(`${ACCOUNT}/ca.crt`)],
      certificate: null,
      // Read each time: the kubelet renews it.
      authorization: () =>
        Promise.resolve(`Bearer ${read(`${ACCOUNT}/token`).trim()}`),
    };
  }
  return ofFile(`${Deno.env.get("HOME") || "/root"}/.kube/config`);
}

function ofFile(path: string): KubernetesApi {
  const file = readDocument(path);
  const fail = (why: string) => new LoginSetupError(`${path}: ${why}`);
  const named = (list: unknown, name: string, kind: string): Table => {
    const found = tablesOf(list).find((one) => textOf(one.name) === name);
    if (found === undefined) throw fail(`there is no ${kind} "${name}"`);
    return tableOf(found[kind]);
  };
  const current = textOf(file["current-context"]);
  const context = named(file.contexts, current, "context");
  const cluster = named(file.clusters, textOf(context.cluster), "cluster");
  const user = named(file.users, textOf(context.user), "user");
  const server = textOf(cluster.server).replace(/\/+$/, "");
  if (!/^https?:\/\//.test(server)) throw fail("the cluster has no server");
  if (cluster["insecure-skip-tls-verify"] === true) {
    throw fail(
      "insecure-skip-tls-verify is not supported: name the cluster's authority",
    );
  }
  /** `<key>-data` in base64, or the file that `<key>` names. */
  const pem = (table: Table, key: string): string => {
    const data = textOf(table[`${key}-data`]);
    if (data !== "") {
      return decode(data, () => fail(`${key}-data is no base64`));
    }
    const name = textOf(table[key]);
    return name === "" ? "" : read(resolve(dirname(path), name));
  };
  const authority = pem(cluster, "certificate-authority");
  const cert = pem(user, "client-certificate");
  const key = pem(user, "client-key");
  return {
    server,
    caCerts: authority === "" ? [] : [authority],
    certificate: cert === "" ? null : { cert, key },
    authorization: () => authorizationOf(user, path),
  };
}

async function authorizationOf(
  user: Table,
  path: string,
): Promise<string | null> {
  const tokenFile = textOf(user.tokenFile);
  if (tokenFile !== "") {
    return `Bearer ${read(resolve(dirname(path), tokenFile)).trim()}`;
  }
  if (textOf(user.token) !== "") return `Bearer ${textOf(user.token)}`;
  if (textOf(user.username) !== "") {
    const pair = `${textOf(user.username)}:${textOf(user.password)}`;
    return `Basic ${btoa(pair)}`;
  }
  const exec = tableOf(user.exec);
  if (textOf(exec.command) === "") return null;
  const env = Object.fromEntries(
    tablesOf(exec.env).map(({ name, value }) => [textOf(name), textOf(value)]),
  );
  const request = {
    apiVersion: textOf(exec.apiVersion),
    kind: "ExecCredential",
    spec: { interactive: false },
  };
  const command = textOf(exec.command);
  const answer = await runForJson(
    // As kubectl: a path is from the file's folder, a name is looked for.
    command.includes("/") ? resolve(dirname(path), command) : command,
    {
      args: textsOf(exec.args),
      env: { ...env, KUBERNETES_EXEC_INFO: JSON.stringify(request) },
    },
  );
  const token = textOf(tableOf(answer.status).token);
  return token === "" ? null : `Bearer ${token}`;
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    throw new LoginSetupError(`${path} cannot be read`);
  }
}

function decode(text: string, fail: () => LoginSetupError): string {
  try {
    return atob(text.trim());
  } catch {
    throw fail();
  }
}
