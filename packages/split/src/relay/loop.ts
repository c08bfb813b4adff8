// Notices a model that repeats itself without progress.

/** The repeated block at the end of `text`, or null. At least four times in a row, and 120 characters in all. */
export function repeatedBlock(text: string): string | null {
  const tail = text.slice(-1000);
  for (let period = 1; period <= tail.length / 4; period++) {
    const times = Math.max(4, Math.ceil(120 / period));
    if (period * times > tail.length) continue;
    const block = tail.slice(-period);
    if (tail.endsWith(block.repeat(times))) return block;
  }
  return null;
}
