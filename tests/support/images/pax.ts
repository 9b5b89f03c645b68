import { joinBytes, rawBytes, type RawName } from "./tar_builder.ts";

/**
 * PAX records: `<length> <key>=<value>\n`, where the length counts its own digits too (POSIX pax
 * interchange format).
 */
export function paxRecords(
  records: ReadonlyArray<readonly [key: string, value: RawName]>,
): Uint8Array {
  return joinBytes(records.map(([key, value]) => {
    const rest = joinBytes([
      rawBytes(` ${key}=`),
      rawBytes(value),
      rawBytes("\n"),
    ]);
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length++;
    return joinBytes([rawBytes(String(length)), rest]);
  }));
}
