// A small seeded generator for sampling: sfc32 (Doty-Humphrey, PractRand), seeded through splitmix32. Not for
// anything secret.

export type Random = () => number;

/** Uniform numbers in [0, 1) with 32 bits each; the same seed gives the same numbers everywhere. */
export function seededRandom(seed: number): Random {
  let state = Math.trunc(seed) | 0;
  // Numbers above 2^32 differ in their high half only; fold it in so that they differ here too.
  state ^= Math.trunc(seed / 2 ** 32) | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let a = next();
  let b = next();
  let c = next();
  let counter = 1;
  const random = (): number => {
    const out = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + out;
    c |= 0;
    return (out >>> 0) / 2 ** 32;
  };
  // sfc32's author mixes twelve rounds before use.
  for (let i = 0; i < 12; i++) random();
  return random;
}

/** A seed for callers that gave none. */
export function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
