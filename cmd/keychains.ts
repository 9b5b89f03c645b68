/** Where the daemon's logins come from beside its flags and Docker's configuration. @module */
import type { Config } from "../lib/config/mod.ts";
import type { CriCredentials } from "../lib/images/cri/mod.ts";
import type { CredentialStore } from "../lib/remote/registry/mod.ts";

/** Further stores of logins. */
export interface Keychains extends Disposable {
  /** In the order in which they are asked. */
  readonly stores: readonly CredentialStore[];
  /** To be told of each pull of the kubelet; null: its image service is not served. */
  readonly pulls: CriCredentials | null;
}

/**
 * Opens what the configuration names: Kubernetes' secrets, the kubelet's plugins, the kubelet's pulls.
 * @param config as it is now.
 * @throws LoginSetupError when a configuration of Kubernetes cannot be used.
 */
export async function openKeychains(config: () => Config): Promise<Keychains> {
  const { kubeconfig_keychain, credential_provider, cri_keychain } = config();
  using opened = new DisposableStack();
  const stores: CredentialStore[] = [];
  // Each is loaded where it is wanted alone: most hosts have none.
  if (kubeconfig_keychain.enable_keychain) {
    const { KubernetesSecrets } = await import(
      "../lib/remote/logins/mod.ts"
    );
    const { kubeconfig_path } = kubeconfig_keychain;
    stores.push(opened.use(new KubernetesSecrets(kubeconfig_path || null)));
  }
  if (credential_provider.config_path !== "") {
    const { CredentialPlugins } = await import("../lib/remote/logins/mod.ts");
    const { config_path, bin_dir } = credential_provider;
    stores.push(new CredentialPlugins(config_path, bin_dir));
  }
  let pulls: CriCredentials | null = null;
  if (cri_keychain.enable_keychain) {
    const { CriCredentials } = await import("../lib/images/cri/mod.ts");
    stores.push(pulls = new CriCredentials());
  }
  const held = opened.move();
  return { stores, pulls, [Symbol.dispose]: () => held.dispose() };
}
