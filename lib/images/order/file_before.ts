/**
 * The last file that begins at an offset of the tar or before it; the caller looks whether it reaches that far.
 * @param files by offset, ascending.
 */
export function fileBefore<T extends { readonly offset: number }>(
  files: readonly T[],
  offset: number,
): T | undefined {
  let [low, high] = [0, files.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (files[middle]!.offset <= offset) low = middle + 1;
    else high = middle;
  }
  return files[low - 1];
}
