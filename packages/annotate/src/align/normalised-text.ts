// A text as it is compared when a snippet was not copied exactly: case, kinds of quotes and dashes, and amounts of white
// space do not count. Every kept character remembers its place in the source, so matches come back as source offsets.

export interface NormalisedText {
  text: string;
  /** Source offset of each normalised character (UTF-16 units). */
  starts: Int32Array;
  /** Source offset just after each normalised character; for a run of white space, after the run. */
  ends: Int32Array;
}

const SAME: Readonly<Record<string, string>> = {
  '\u2018': "'",
  '\u2019': "'",
  '\u201c': '"',
  '\u201d': '"',
  '\u2010': '-',
  '\u2011': '-',
  '\u2012': '-',
  '\u2013': '-',
  '\u2014': '-',
  '\u2212': '-',
  '\u00d7': '*',
  '\u22c5': '*',
  '\u00b7': '*',
};

export function normaliseText(source: string): NormalisedText {
  const characters: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  for (let i = 0; i < source.length; i++) {
    const unit = source[i]!;
    if (/\s/.test(unit)) {
      if (characters.at(-1) === ' ') {
        ends[ends.length - 1] = i + 1;
        continue;
      }
      characters.push(' ');
    } else {
      const lower = unit.toLowerCase();
      // A few letters grow when lowered; offsets need one unit for one unit.
      characters.push(SAME[unit] ?? (lower.length === 1 ? lower : unit));
    }
    starts.push(i);
    ends.push(i + 1);
  }
  return { text: characters.join(''), starts: Int32Array.from(starts), ends: Int32Array.from(ends) };
}
