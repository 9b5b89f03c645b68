/**
 * The CRI image service as a proxy: the kubelet calls it in place of containerd's own
 * (`--image-service-endpoint`), and its pulls bring the logins that lazy layers need later, and what a pod says of how
 * its image is to be taken.
 *
 * It may connect to the image service behind it. Calls pass through as they are, with all their fields. Logins are
 * kept in memory, and nowhere else; a successor gets them over the control socket. It must not know what snapshots or layers are.
 * @module
 */
export { CriCredentials, type PullEnd } from "./credentials.ts";
export type { CriAuth, PullRequest } from "./pull_request.ts";
export { PodPolicies } from "./pod_policies.ts";
export { type CriProxy, criProxy } from "./proxy.ts";
