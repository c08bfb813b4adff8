// When a keep-warm request is worth sending, as a rule over numbers only: KeepWarm follows it, and so does whoever reckons what
// it would have done.

/**
 * What a request must spare the hand-off, in milliseconds of reading: about what it costs in computing at its two ends (2 to 3 ms on
 * two cores, and at a round trip of 20 ms it then stands in the way of what it is sent for).
 */
const WORTH_MS = 4;
/** Characters that are worth it where nobody knows how fast the server reads (about 12 tokens). */
const WORTH_CHARACTERS = 40;
/** However fast or slow it reads: a token or two, fifty. */
const FEWEST_CHARACTERS = 8;
const MOST_CHARACTERS = 160;
/** With a hand-off likely soon, so much less. */
const URGENT_SHARE = 0.1;
/**
 * Requests under way at once where the server reads along. What is left to read at the hand-off is what came since the last one: a
 * fifth of the round trip's at most. On a quiet machine the demo pair's hand-off at 1,000 tokens was 70 % as much sooner as one with
 * everything cached at a round trip of 80 ms, and 81 % at 200; with eight at once 71 and 88 %, for twice the requests.
 */
export const MOST_AT_ONCE = 5;
/** Closer together they cost both ends more than the hand-off is spared. */
const LEAST_APART_MS = 10;

export interface WarmUpSituation {
  /** Requests under way, and how many may be. */
  underWay: number;
  most: number;
  /** Characters that the last request did not hold; Infinity before the first. */
  grown: number;
  /** Since the last request was sent. */
  sinceMs: number;
  /** How long an answer takes; null where none has come yet. */
  answerMs: number | null;
  /** How long the server reads a character; null where nobody knows. */
  readMs: number | null;
}

/** Characters from which a request is worth sending. `urgent`: a hand-off is likely soon. */
export function worthCharacters(readMs: number | null, urgent = false): number {
  const worth =
    readMs === null
      ? WORTH_CHARACTERS
      : Math.min(MOST_CHARACTERS, Math.max(FEWEST_CHARACTERS, WORTH_MS / readMs));
  return urgent ? worth * URGENT_SHARE : worth;
}

/** Whether a request should go out now. `urgent`: a hand-off is likely soon. */
export function warmUpIsDue(now: WarmUpSituation, urgent = false): boolean {
  if (now.underWay >= now.most) return false;
  if (now.grown < worthCharacters(now.readMs, urgent)) return false;
  if (now.underWay === 0) return true;
  return now.sinceMs >= Math.max(LEAST_APART_MS, (now.answerMs ?? Infinity) / now.most);
}

/** How long an answer takes, smoothed, after one that took `tookMs`. */
export function smoothedAnswerMs(before: number | null, tookMs: number): number {
  return before === null ? tookMs : 0.7 * before + 0.3 * tookMs;
}
