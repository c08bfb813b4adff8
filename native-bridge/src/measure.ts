// How fast a target runs a model: prefill and decode tokens per second, measured on a fresh cache. A figure for people
// and for choosing a device; never an assertion of a test.
import { Decoder, type LocalModel } from '@baton/runtime';

export interface Speed {
  decodeTokensPerSecond: number;
  prefillTokensPerSecond: number;
}

/** Takes about `seconds` for each of the two figures, after one run that is not counted. */
export async function measureTarget(model: LocalModel, seconds = 1): Promise<Speed> {
  const { backend } = model;
  const decoder = await Decoder.create(backend);
  try {
    const chunk = Array.from(
      { length: Math.min(backend.maxRows, decoder.capacity - 1) },
      (_, i) => i % backend.vocabSize,
    );
    const prefill = await rate(seconds, chunk.length, async () => {
      decoder.rollback(0);
      await decoder.ingest(chunk, { logits: 'last' });
    });
    const decode = await rate(seconds, 1, async () => {
      if (decoder.length >= decoder.capacity) decoder.rollback(chunk.length);
      await decoder.step(0);
    });
    return { decodeTokensPerSecond: decode, prefillTokensPerSecond: prefill };
  } finally {
    await decoder.close();
  }
}

async function rate(seconds: number, tokens: number, run: () => Promise<void>): Promise<number> {
  await run();
  const began = performance.now();
  let done = 0;
  do {
    await run();
    done += tokens;
  } while (performance.now() - began < seconds * 1000);
  return (done * 1000) / (performance.now() - began);
}
