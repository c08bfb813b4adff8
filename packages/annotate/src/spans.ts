// Offload spans as half-open ranges of UTF-16 offsets into a trace's text: sorting and merging, tags in and out, and the
// check that taking the tags out again gives the source, byte for byte. It does not decide where spans belong.

export const OPEN_TAG = '<bigmodel>';
export const CLOSE_TAG = '</bigmodel>';

/** A stretch of text to be written by the large model: [start, end) in UTF-16 units. */
export interface Span {
  start: number;
  end: number;
}

/**
 * Sorted, non-overlapping, non-empty spans within the text. Spans that overlap or lie at most `mergeGap` units apart become
 * one. Edges that would split a surrogate pair move outwards.
 */
export function normaliseSpans(spans: readonly Span[], text: string, mergeGap = 0): Span[] {
  const inside = spans
    .map(({ start, end }) => ({ start: Math.max(0, start), end: Math.min(text.length, end) }))
    .map(({ start, end }) => ({
      start: splitsPair(text, start) ? start - 1 : start,
      end: splitsPair(text, end) ? end + 1 : end,
    }))
    .filter((span) => span.end > span.start)
    .sort((a, b) => a.start - b.start || a.end - b.end);
  const merged: Span[] = [];
  for (const span of inside) {
    const last = merged.at(-1);
    if (last && span.start - last.end <= mergeGap) last.end = Math.max(last.end, span.end);
    else merged.push({ ...span });
  }
  return merged;
}

function splitsPair(text: string, at: number): boolean {
  if (at <= 0 || at >= text.length) return false;
  const isLow = (text.charCodeAt(at) & 0xfc00) === 0xdc00;
  return isLow && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}

/** The text with every span between tags. Nothing else is added, so that removing the tags restores the text. */
export function insertTags(text: string, spans: readonly Span[]): string {
  let tagged = '';
  let at = 0;
  for (const { start, end } of spans) {
    tagged += text.slice(at, start) + OPEN_TAG + text.slice(start, end) + CLOSE_TAG;
    at = end;
  }
  return tagged + text.slice(at);
}

export function stripTags(tagged: string): string {
  return tagged.replaceAll(OPEN_TAG, '').replaceAll(CLOSE_TAG, '');
}

/** The spans of a tagged text, as offsets into the text without tags; null when the tags do not alternate and close. */
export function readTags(tagged: string): { text: string; spans: Span[] } | null {
  const spans: Span[] = [];
  let text = '';
  let at = 0;
  let open: number | null = null;
  for (const match of tagged.matchAll(/<\/?bigmodel>/g)) {
    text += tagged.slice(at, match.index);
    at = match.index + match[0].length;
    if (match[0] === OPEN_TAG) {
      if (open !== null) return null;
      open = text.length;
    } else {
      if (open === null) return null;
      spans.push({ start: open, end: text.length });
      open = null;
    }
  }
  return open === null ? { text: text + tagged.slice(at), spans } : null;
}

/**
 * Why the tagged text cannot be used for training, or null when it is sound. No span at all is sound: it teaches when not to
 * hand off.
 */
export function taggedTextFault(source: string, tagged: string): string | null {
  const held = [OPEN_TAG, CLOSE_TAG].find((tag) => source.includes(tag));
  if (held) return `the source itself holds ${held}, so tags could not be told from text`;
  const read = readTags(tagged);
  if (read === null) return 'the tags are not balanced';
  if (read.text !== source || stripTags(tagged) !== source)
    return 'taking the tags out does not restore the source';
  return null;
}

/** Characters inside spans over all characters. */
export function characterCoverage(text: string, spans: readonly Span[]): number {
  if (text.length === 0) return 0;
  return spans.reduce((sum, span) => sum + span.end - span.start, 0) / text.length;
}
