import { isDigest } from "../../../lib/formats/oci/mod.ts";
import { failure } from "./http.ts";
import type { Store, Upload } from "./store.ts";

/** POST …/blobs/uploads/: starts a session, mounts a blob, or accepts a whole blob at once. */
export async function startUpload(
  store: Store,
  repository: string,
  request: Request,
): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const mount = searchParams.get("mount");
  const from = searchParams.get("from") ?? "";
  if (
    isDigest(mount) && store.repositories.get(from)?.blobs.has(mount) === true
  ) {
    store.repository(repository).blobs.add(mount);
    return created(repository, mount);
  }
  const upload = store.startUpload(repository);
  const digest = searchParams.get("digest");
  return digest === null
    ? progress(upload)
    : await finish(store, upload, digest, request);
}

/** PATCH, PUT, GET and DELETE of a session. */
export async function continueUpload(
  store: Store,
  repository: string,
  id: string,
  request: Request,
): Promise<Response> {
  const upload = store.uploads.get(id);
  if (upload?.repository !== repository) {
    return failure(404, "BLOB_UPLOAD_UNKNOWN");
  }
  switch (request.method) {
    case "GET":
      return progress(upload, 204);
    case "PATCH": {
      const start = /^(\d+)-/.exec(request.headers.get("content-range") ?? "");
      if (start !== null && Number(start[1]) !== upload.size) {
        return failure(416, "BLOB_UPLOAD_INVALID");
      }
      await store.append(upload, request.body);
      return progress(upload);
    }
    case "PUT": {
      const digest = new URL(request.url).searchParams.get("digest");
      return await finish(store, upload, digest, request);
    }
    case "DELETE":
      store.dropUpload(upload);
      return new Response(null, { status: 204 });
    default:
      return failure(405, "UNSUPPORTED");
  }
}

async function finish(
  store: Store,
  upload: Upload,
  digest: string | null,
  request: Request,
): Promise<Response> {
  await store.append(upload, request.body);
  if (!isDigest(digest) || !await store.finishUpload(upload, digest)) {
    return failure(400, "DIGEST_INVALID");
  }
  return created(upload.repository, digest);
}

function progress({ repository, id, size }: Upload, status = 202): Response {
  return new Response(null, {
    status,
    headers: {
      location: `/v2/${repository}/blobs/uploads/${id}?_state=a%2Bb`,
      "docker-upload-uuid": id,
      range: `0-${Math.max(0, size - 1)}`,
    },
  });
}

function created(repository: string, digest: string): Response {
  return new Response(null, {
    status: 201,
    headers: {
      location: `/v2/${repository}/blobs/${digest}`,
      "docker-content-digest": digest,
    },
  });
}
