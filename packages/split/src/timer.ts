// How long a timer can be set for.

/** Timers hold 32 bits of milliseconds; what is longer (also "never") would go off at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** `ms` as a timer takes it: the longest there is where it is longer, or not a number. */
export function timerMs(ms: number): number {
  return ms <= LONGEST_MS ? Math.max(0, ms) : LONGEST_MS;
}
