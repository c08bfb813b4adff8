import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readAlong } from './read-along.ts';

const encoder = new TextEncoder();

/** The body in pieces, cut at these bytes; time passes behind each, so that a read can begin. */
async function* inPieces(body: string, cuts: readonly number[] = []): AsyncGenerator<Uint8Array> {
  const bytes = encoder.encode(body);
  let from = 0;
  for (const at of [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)) {
    yield bytes.subarray(from, at);
    from = at;
    await new Promise((resolve) => setImmediate(resolve));
  }
  yield bytes.subarray(from);
}

async function follow(
  body: AsyncIterable<Uint8Array>,
): Promise<{ text: string; prompts: string[]; read: number }> {
  const prompts: string[] = [];
  const { text, read } = await readAlong(body, async (prompt) => void prompts.push(prompt));
  return { text, prompts, read };
}

describe('a body that is read along', () => {
  it('comes out whole, and what was read are beginnings of its prompt, however it is cut', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    const cuts = fc.array(fc.nat(), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(text, fc.dictionary(fc.string(), fc.jsonValue()), cuts, async (prompt, rest, at) => {
        const body = JSON.stringify({ model: 'm', prompt, ...rest, max_tokens: 3 });
        const { prompt: sent } = JSON.parse(body) as { prompt: unknown };
        const seen = await follow(inPieces(body, at));
        expect(seen.text).toBe(body);
        expect(seen.read).toBe(seen.prompts.at(-1)?.length ?? 0);
        for (const [i, one] of seen.prompts.entries()) {
          expect(typeof sent === 'string' && sent.startsWith(one)).toBe(true);
          expect(one.isWellFormed() || !prompt.isWellFormed()).toBe(true);
          expect(one.length).toBeGreaterThan(seen.prompts[i - 1]?.length ?? 0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is read as it grows, and no more once its prompt has ended', async () => {
    const days = 'Monday and Tuesday and Wednesday and Thursday and Friday and Saturday and Sunday';
    const front = '{"model":"m","prompt":"';
    const cuts = [7, 32, 62].map((length) => front.length + length);
    const { prompts } = await follow(inPieces(`${front}${days}","max_tokens":1}`, cuts));
    expect(prompts).toEqual([days.slice(0, 32), days.slice(0, 62)]);
  });

  it('is read by one pass at a time, the next taking all that came meanwhile', async () => {
    const word = 'abcdefghij';
    let underWay = 0;
    const lengths: number[] = [];
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      yield encoder.encode('{"prompt":"');
      for (let i = 0; i < 12; i++) {
        yield encoder.encode(word);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await new Promise((resolve) => setTimeout(resolve, 30));
      yield encoder.encode('","max_tokens":1}');
    };
    await readAlong(bytes(), async (prompt) => {
      expect(++underWay).toBe(1);
      lengths.push(prompt.length);
      await new Promise((resolve) => setTimeout(resolve, 9));
      underWay--;
    });
    expect(lengths.length).toBeLessThan(12);
    // What is left is not worth a pass of its own.
    expect(lengths.at(-1)).toBeGreaterThan(120 - 24);
  });

  it.each([
    ['that is not JSON', '{"prompt": nothing'],
    ['without a prompt', '{"messages":[{"role":"user","content":"a long enough question"}]}'],
    ['whose prompt is a list of ids', '{"prompt":[1,2,3,4,5,6,7,8,9,10,11,12]}'],
    ['that is a list', '["a long enough text to read"]'],
    ['that is empty', ''],
  ])('%s is given as it came, unread', async (_, body) => {
    const seen = await follow(inPieces(body, [5, 9]));
    expect(body.startsWith(seen.text)).toBe(true);
    expect(seen.prompts).toEqual([]);
  });

  it('is given whole where reading fails', async () => {
    const body = `{"prompt":"${'word '.repeat(20)}","max_tokens":1}`;
    let asked = 0;
    const { text } = await readAlong(inPieces(body, [30, 50, 70]), async () => {
      asked++;
      throw new Error('no room');
    });
    expect(text).toBe(body);
    expect(asked).toBe(1);
  });

  it('fails as its connection does', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield encoder.encode('{"prompt":"half of it');
      throw new Error('cut');
    };
    await expect(readAlong(broken(), async () => undefined)).rejects.toThrow('cut');
  });
});
