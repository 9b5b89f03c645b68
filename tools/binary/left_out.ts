/** What packages require and never use here: the bundle has it not. @module */
import type { Plugin } from "esbuild";

/**
 * grpc-js loads it for services of its own (`channelz`, ORCA), which the product does not serve. With what it requires
 * in turn it is a third of gRPC, read at each start.
 */
const LEFT_OUT = /^@grpc\/proto-loader$/;

/** Puts an error in its place, for whoever asks for it. */
export function leftOut(): Plugin {
  return {
    name: "left-out",
    setup(build) {
      build.onResolve({ filter: LEFT_OUT }, ({ path, kind }) => {
        if (kind === "require-call") return { path, namespace: "left-out" };
        throw new Error(`${path} is imported: it cannot be left out`);
      });
      build.onLoad({ filter: /.*/, namespace: "left-out" }, ({ path }) => ({
        contents: `throw new Error(${
          JSON.stringify(`${path} is not part of this program`)
        });`,
        loader: "js",
      }));
    },
  };
}
