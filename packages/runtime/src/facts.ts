// Small things worth remembering between runs: which target passed its self-test, which one was fastest. Losing them
// costs time, never correctness, so no failure to read or write them is an error.

export interface Facts {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

/** Forgets at the end of the process. */
export function memoryFacts(): Facts {
  const facts = new Map<string, unknown>();
  return { get: async (key) => facts.get(key), set: async (key, value) => void facts.set(key, value) };
}
