// How long a pairing code works, wherever it was made.
export const CODE_LIFE_MS = 10 * 60_000;
