/**
 * Logins that Kubernetes has: its image-pull secrets, and the kubelet's credential-provider plugins.
 *
 * It may read the configurations that name them, ask Kubernetes' API for secrets, and run the plugins. Logins are
 * kept in memory, and nowhere else. It must not know what they are used for.
 * @module
 */
export { LoginSetupError } from "./errors.ts";
export { KubernetesSecrets } from "./secrets.ts";
export { CredentialPlugins } from "./plugins.ts";
