// Edit distance of a pattern against the best-fitting stretch of a text near one diagonal: Sellers' semi-global dynamic
// programme (Sellers 1980, J. Algorithms 1), computed in a band only, so the cost is pattern length x band width.

export interface BandedMatch {
  /** Offsets into the text; the stretch is text.slice(start, end). */
  start: number;
  end: number;
  /** Insertions, deletions and substitutions between the pattern and that stretch. */
  distance: number;
}

/**
 * The stretch of `text` closest to `pattern` among those whose alignment stays within `band` of `diagonal` (text offset minus
 * pattern offset). Of equally close stretches the one whose length is nearest the pattern's wins, then the earliest.
 * Null when the band lies outside the text.
 */
export function bandedMatch(
  pattern: string,
  text: string,
  diagonal: number,
  band: number,
): BandedMatch | null {
  const low = diagonal - band;
  const width = 2 * band + 1;
  // Cell b of row r stands for text offset low + r + b: how far the text has been consumed.
  let distance = new Int32Array(width);
  let start = new Int32Array(width);
  const FAR = 1 << 29;
  for (let b = 0; b < width; b++) {
    const at = low + b;
    const valid = at >= 0 && at <= text.length;
    distance[b] = valid ? 0 : FAR;
    start[b] = at;
  }
  for (let r = 1; r <= pattern.length; r++) {
    const nextDistance = new Int32Array(width).fill(FAR);
    const nextStart = new Int32Array(width);
    for (let b = 0; b < width; b++) {
      const at = low + r + b;
      if (at < 0 || at > text.length) continue;
      const same = at > 0 && pattern.charCodeAt(r - 1) === text.charCodeAt(at - 1);
      // Diagonal step: row r-1, same cell. Skipping a pattern character: row r-1, next cell. Skipping a text one: this row.
      let best = at > 0 ? distance[b]! + (same ? 0 : 1) : FAR;
      let from = start[b]!;
      if (b + 1 < width && distance[b + 1]! + 1 < best) {
        best = distance[b + 1]! + 1;
        from = start[b + 1]!;
      }
      if (b > 0 && nextDistance[b - 1]! + 1 < best) {
        best = nextDistance[b - 1]! + 1;
        from = nextStart[b - 1]!;
      }
      nextDistance[b] = best;
      nextStart[b] = from;
    }
    distance = nextDistance;
    start = nextStart;
  }
  let found: BandedMatch | null = null;
  for (let b = 0; b < width; b++) {
    if (distance[b]! >= FAR) continue;
    const match = { start: start[b]!, end: low + pattern.length + b, distance: distance[b]! };
    if (found === null || closer(match, found, pattern.length)) found = match;
  }
  return found;
}

function closer(a: BandedMatch, b: BandedMatch, length: number): boolean {
  if (a.distance !== b.distance) return a.distance < b.distance;
  return Math.abs(a.end - a.start - length) < Math.abs(b.end - b.start - length);
}
