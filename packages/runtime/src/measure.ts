// How fast a target runs a model, measured for as short as gives a usable figure: for choosing between targets, not for
// reports.

import type { Backend } from './backend.ts';

export interface Speed {
  /** Milliseconds per decode step, the best of a few: the machine's noise only adds. */
  decodeMs: number;
  /** Milliseconds per prompt token in a whole prefill chunk. */
  prefillMs: number;
}

/** Enough steps that the best of them is undisturbed, and an end for slow targets. */
const STEPS = 8;
const MOST_MS = 3_000;

export async function measureSpeed(backend: Backend): Promise<Speed> {
  const sequence = await backend.createSequence();
  try {
    const rows = Math.min(backend.maxRows, sequence.capacity - STEPS);
    const tokens = Array.from({ length: rows }, (_, i) => (7 + i * 31) % backend.vocabSize);
    const time = async (work: () => Promise<unknown>): Promise<number> => {
      const began = performance.now();
      await work();
      return performance.now() - began;
    };
    // The first runs compile shaders and fill caches.
    await sequence.forward(tokens, 0, 'last');
    await sequence.forward([1 % backend.vocabSize], rows, 'last');
    const prefill = await time(() => sequence.forward(tokens, 0, 'last'));
    let decodeMs = Infinity;
    for (let i = 0, spent = 0; i < STEPS && spent < MOST_MS; i++) {
      const step = await time(() => sequence.forward([i % backend.vocabSize], rows, 'last'));
      decodeMs = Math.min(decodeMs, step);
      spent += step;
    }
    return { decodeMs, prefillMs: prefill / rows };
  } finally {
    await sequence.close();
  }
}

/**
 * One figure to choose by, lower is better: what a relay spends on the small model per token of the trace, with two
 * tokens written for each one ingested (prompt and the large model's spans).
 */
export function speedScore({ decodeMs, prefillMs }: Speed): number {
  return (2 * decodeMs + prefillMs) / 3;
}
