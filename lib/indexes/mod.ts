/**
 * Makes and keeps indexes: what the index tools do, and where this machine keeps the results.
 *
 * It may use `lib/layers` to read a layer once and `lib/remote` to read and write places. It must not
 * know that layers are served, and must not touch a mount.
 *
 * Rooms: `indexing` (build, convert, push, inspect), `artifacts` (the local store and its database).
 *
 * This file exports nothing: import each room by its own `mod.ts`.
 * @module
 */
export {};
