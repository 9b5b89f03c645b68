/** One logged request. */
export interface LogEntry {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly range: string | null;
  /** Whether it carried an `Authorization` header. */
  readonly authorized: boolean;
  /** `registry`, or `storage`, which blobs are redirected to. */
  readonly server: "registry" | "storage";
  status: number;
  /** Body bytes of blobs sent so far. */
  bytes: number;
}

/** An error document of the distribution specification. */
export function failure(
  status: number,
  code: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ errors: [{ code, message: code.toLowerCase() }] }, {
    status,
    headers,
  });
}
