/** The disk has no room for a ztoc: it is not asked for. Looking again costs nothing. */
export class ZtocRoomError extends Error {
  static {
    this.prototype.name = "ZtocRoomError";
  }
}

/** Looks whether the disk takes a ztoc, if nothing more. @throws ZtocRoomError */
export function assertRoomFor(
  ztocBytes: number,
  { freeBytes }: { readonly freeBytes: number },
): void {
  if (freeBytes >= ztocBytes) return;
  throw new ZtocRoomError(
    `its ztoc has ${ztocBytes} bytes, and ${freeBytes} are free; free disk space below --root`,
  );
}
