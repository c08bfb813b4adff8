// A token that is likely to follow, read in the same pass as the text before it: the session goes on as if it had not been, and
// at once where it does follow.
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TargetId } from './backend.ts';
import type { LocalModel } from './local-model.ts';
import { openLocal } from './node/index.ts';
import type { LocalSession } from './session.ts';

const CHECKPOINT = fileURLToPath(new URL('../../../models/demo-small', import.meta.url));
const TAG = '</bigmodel>';
const TEXT =
  '<|user|>\nMia drives 89 miles a day for 29 days. How many miles is that?\n<|assistant|>\n<think>\n89*29=<bigmodel>80*29=2320, 9*29=261, 2320+261=2581';

/** What the model says comes next: of the tag, and of its first choice. */
async function next(session: LocalSession, watch: readonly number[]): Promise<number[]> {
  for await (const { watched } of session.generate({ maxTokens: 1, watch }))
    if (watched) return [watched[0]!.logprobs[0]!, watched[0]!.argmaxLogprob];
  throw new Error('nothing was written');
}

/** Passes of other lengths round otherwise: up to 0.001 here, where another text makes differences of whole units. */
function near(ours: readonly number[], theirs: readonly number[]): void {
  for (const [i, one] of ours.entries()) expect(Math.abs(one - theirs[i]!)).toBeLessThan(0.02);
}

describe.each(['wasm-simd', 'ort-cpu'] as const satisfies TargetId[])('on %s', (target) => {
  let model: LocalModel;
  let session: LocalSession;
  let plain: LocalSession;
  beforeAll(async () => {
    model = await openLocal(CHECKPOINT, { target });
    [session, plain] = [await model.openSession(), await model.openSession()];
  });
  afterAll(() => model.close());

  /** The text as it comes: begun with a piece, then one or two more. */
  const cuts = fc.tuple(fc.integer({ min: 1, max: TEXT.length - 8 }), fc.integer({ min: 1, max: 7 }));

  test('the rows are those of the text alone, and the session holds nothing else', async () => {
    const watch = [...(await session.encode(TAG))];
    await fc.assert(
      fc.asyncProperty(cuts, async ([from, more]) => {
        const [start, text] = [TEXT.slice(0, from), TEXT.slice(0, from + more)];
        await session.sync(start);
        await plain.sync(start);
        const [ours, theirs] = [
          await session.sync(text, { watch, likely: TAG }),
          await plain.sync(text, { watch }),
        ];
        expect([ours.kept, ours.ingested]).toEqual([theirs.kept, theirs.ingested]);
        expect(ours.watched.map((row) => row.textLength)).toEqual(
          theirs.watched.map((row) => row.textLength),
        );
        near(
          ours.watched.map((row) => row.logprobs[0]!),
          theirs.watched.map((row) => row.logprobs[0]!),
        );
        expect(await session.state()).toEqual(await plain.state());
        expect(session.tokens).toEqual(plain.tokens);
        near(await next(session, watch), await next(plain, watch));
      }),
      { numRuns: 40 },
    );
  });

  test('what did follow needs no pass where it was read, and the same is written behind it', async () => {
    const watch = [...(await session.encode(TAG))];
    let read = 0;
    await fc.assert(
      fc.asyncProperty(cuts, async ([from, more]) => {
        const text = TEXT.slice(0, from + more);
        await session.sync(TEXT.slice(0, from));
        await session.sync(text, { watch, likely: TAG });
        const { ingested } = await session.sync(text + TAG);
        if (ingested === 0) read++;
        await plain.sync(text + TAG);
        expect(session.tokens).toEqual(plain.tokens);
        near(await next(session, watch), await next(plain, watch));
      }),
      { numRuns: 40 },
    );
    expect(read > 0).toBe(target === 'wasm-simd');
  });

  test('what is likely and no single token is not read', async () => {
    await session.sync(TEXT.slice(0, -4));
    await session.sync(TEXT, { likely: 'a whole sentence.' });
    expect((await session.sync(`${TEXT}a whole sentence.`)).ingested).toBeGreaterThan(1);
  });

  test('a full cache has no room for it', async () => {
    const { capacity } = await session.state();
    const ids = Array.from({ length: capacity - 1 }, () => 70);
    await session.syncTokens(ids);
    const { text } = await session.state();
    const result = await session.sync(`${text}1`, { likely: TAG });
    expect(result.kept + result.ingested).toBeLessThanOrEqual(capacity);
    expect((await session.state()).tokens).toBe(result.kept + result.ingested);
  });
});
