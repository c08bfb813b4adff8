// Where a tokenizer's normaliser (NFC in Qwen's) changes a text, lengths counted on the tokens are lengths of the
// normalised text. This maps them back to the text as the caller gave it.

/**
 * Maps a length in `normalize(text)` to a length in `text`, in UTF-16 units. Walks user-perceived characters, across
 * whose borders Unicode normalisation does not reach.
 */
export function rawLengths(text: string, normalize: (text: string) => string): (length: number) => number {
  if (normalize(text) === text) return (length) => Math.min(length, text.length);
  const normalEnds: number[] = [0];
  const rawEnds: number[] = [0];
  const segments = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text);
  for (const { segment } of segments) {
    normalEnds.push(normalEnds.at(-1)! + normalize(segment).length);
    rawEnds.push(rawEnds.at(-1)! + segment.length);
  }
  return (length) => {
    let low = 0;
    let high = normalEnds.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (normalEnds[middle]! <= length) low = middle;
      else high = middle - 1;
    }
    return rawEnds[low]!;
  };
}
