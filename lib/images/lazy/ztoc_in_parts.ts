import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import {
  type Descriptor,
  sha256,
  sha256InSteps,
} from "../../formats/oci/mod.ts";
import { type CompressedZtoc, SociError } from "../../formats/soci/mod.ts";
import { MAX_ZTOC_BYTES, splitZtoc } from "../../formats/ztoc/mod.ts";
import { type ArrivedZtoc, FalseHeadError } from "../../layers/serving/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";
import { addWindows, unpackHead } from "./unpack_ztoc.ts";

/** How long the rest of a ztoc may take, ms. */
const REST_MS = 60_000;

/** One ztoc as a companion has it, in two parts. The head is used on the word of whoever names the companion. */
export class ZtocInParts {
  /** Nothing is asked yet; the client stays the caller's. */
  constructor(
    private readonly client: Pick<RegistryClient, "range" | "blobBytes">,
    private readonly repository: Repository,
    private readonly ztoc: Descriptor,
    private readonly compressed: CompressedZtoc & {
      readonly head: NonNullable<CompressedZtoc["head"]>;
    },
  ) {}

  /**
   * The head, which has the digest that the companion says.
   * @throws SociError when it has another one, or is none; RegistryError; the signal's reason
   */
  async arrived(signal: AbortSignal): Promise<ArrivedZtoc> {
    const { head: { size, digest } } = this.compressed;
    const packed = await this.#range(0, size, signal);
    if (sha256(packed) !== digest) {
      throw new SociError(
        "digest",
        `the head of ${this.ztoc.digest} is another`,
      );
    }
    const bytes = await unpackHead(packed, this.ztoc.size);
    return { bytes, whole: () => this.#whole(packed) };
  }

  /** The ztoc: out of both parts, or as it is where the rest of them cannot be had. */
  async #whole(packed: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const { ztoc: { digest, size }, compressed } = this;
    const signal = AbortSignal.timeout(REST_MS);
    const head = await unpackHead(packed, size);
    const rest = await this.#range(packed.length, compressed.size, signal)
      .catch(() => null);
    if (rest !== null && await this.#isBlob([packed, rest])) {
      try {
        await addWindows(head, [rest], digest);
        return head;
      } catch (error) {
        if (!(error instanceof SociError)) throw error;
        throw new FalseHeadError(
          `what the companion holds is not ztoc ${digest}`,
          { cause: error },
        );
      }
    }
    const ztoc = await this.client.blobBytes(this.repository, this.ztoc, {
      maxBytes: MAX_ZTOC_BYTES,
      signal,
    });
    if (Buffer.compare(splitZtoc(ztoc).head, head) !== 0) {
      throw new FalseHeadError(`ztoc ${digest} begins with other files`);
    }
    return ztoc;
  }

  /** Whether the parts are what the companion names: else the registry gave other bytes. */
  async #isBlob(parts: readonly Uint8Array[]): Promise<boolean> {
    const blob = Buffer.concat(parts);
    const digest = await sha256InSteps(blob, () => setImmediate());
    return digest === this.compressed.digest;
  }

  async #range(
    start: number,
    end: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - start);
    const { client, repository, compressed: { digest } } = this;
    await client.range(repository, digest, start, end, bytes, signal);
    return bytes;
  }
}
