/**
 * Has the TLS library collect the randomness that it begins with: once a process, and it takes 40 ms of a core, for
 * which the first handshake would wait. Of the keys that can be asked for, this kind is made in a thread of the
 * runtime's, beside everything else.
 */
export async function readyForTls(): Promise<void> {
  const kind = { name: "ECDSA", namedCurve: "P-256" };
  // Nothing depends on it: a handshake says what is wrong.
  await crypto.subtle.generateKey(kind, false, ["sign"]).catch(() => {});
}
