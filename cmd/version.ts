/** The release of soci-deno; the same as in deno.json. @module */
export const VERSION = "0.1.0";
