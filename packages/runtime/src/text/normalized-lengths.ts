// What tokens spell is not always the text as it was given: normalisers compose characters (NFC in Qwen's), tags take the line's end
// behind them (Phi-3's), splitters drop spaces. This maps lengths counted on the tokens back to that text.

/** How far behind the place a character is looked for where something stands for others, such as a space or "<unk>". */
const REACH = 16;

/**
 * Maps a length in `spelled`, what the tokens of `text` spell, to a length in `text`, in UTF-16 units. Walks user-perceived
 * characters, across whose borders Unicode normalisation does not reach. `normalize` is the tokenizer's.
 */
export function rawLengths(
  text: string,
  spelled: string,
  normalize: (text: string) => string,
): (length: number) => number {
  if (spelled === text) return (length) => length;
  const spelledEnds: number[] = [0];
  const rawEnds: number[] = [0];
  let at = 0;
  let raw = 0;
  const meet = (): void => {
    spelledEnds.push(at);
    rawEnds.push(raw);
  };
  let lost = false;
  const segments = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text);
  for (const { segment } of segments) {
    // SentencePiece's normalisers put a mark in front of every text, and one for every space.
    const normal = normalize(segment).replaceAll('\u2581', ' ');
    const found = [segment, normal, normal.replace(/^ /, '')].find((one) => spelled.startsWith(one, at));
    if (found !== undefined) {
      at += found.length;
    } else if (lost || segment.trim() !== '') {
      const next = spelled.slice(at, at + REACH).indexOf(segment);
      lost = next < 0;
      if (!lost) {
        at += next;
        meet();
        at += segment.length;
      }
    }
    raw += segment.length;
    if (!lost) meet();
  }
  at = spelled.length;
  meet();
  return (length) => {
    let low = 0;
    let high = spelledEnds.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (spelledEnds[middle]! <= length) low = middle;
      else high = middle - 1;
    }
    return rawEnds[low]!;
  };
}
