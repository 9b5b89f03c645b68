/** The kubelet's image service on the daemon's socket. @module */
import type { Config } from "../lib/config/mod.ts";
import type { CriCredentials, CriProxy } from "../lib/images/cri/mod.ts";

/**
 * That service, where it is served.
 * @param pulls told of each pull; null: it is not served.
 * @param stack gets what has to be closed.
 */
export async function criServices(
  pulls: CriCredentials | null,
  { cri_keychain }: Pick<Config, "cri_keychain">,
  stack: AsyncDisposableStack,
): Promise<CriProxy["services"]> {
  if (pulls === null) return [];
  // Loaded where it is wanted alone: most hosts have none.
  const { criProxy } = await import("../lib/images/cri/mod.ts");
  return stack.use(
    criProxy(
      cri_keychain.image_service_path,
      (request) => pulls.begin(request),
    ),
  ).services;
}
