import {
  type CredentialStore,
  passwordCredential,
} from "../../../lib/remote/registry/mod.ts";

/** One user name and password, for all hosts or only for the given ones. */
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
