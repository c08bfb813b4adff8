// The seeds of single runs.

/**
 * The seed of one run, from the evaluation's seed, the problem and the sample: the same in every arm (so that arms are
 * paired) and independent of the order, the limit and the other problems. FNV-1a over the text, then MurmurHash3's finaliser
 * (FNV alone leaves neighbouring samples with related seeds); 31 bits.
 */
export function runSeed(seed: number, problemId: string, sample: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${seed}\u0000${problemId}\u0000${sample}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) & 0x7fffffff;
}
