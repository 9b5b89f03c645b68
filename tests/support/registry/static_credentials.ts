import {
  type CredentialStore,
  passwordCredential,
} from "../../../lib/remote/registry/mod.ts";

/** One name and password, for every host that asks or for those that are named. */
export function staticCredentials(
  username: string,
  password: string,
  hosts?: readonly string[],
): CredentialStore {
  const credential = passwordCredential(username, password);
  return {
    get: (host) =>
      Promise.resolve(
        hosts === undefined || hosts.includes(host) ? credential : null,
      ),
  };
}
