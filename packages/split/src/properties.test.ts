// What must hold however texts are tokenised, wherever streams are cut, whatever characters they hold.

import type { LocalModel } from '@baton/runtime';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';

import { faultServer, finish } from '../test/fault-server.ts';
import { ngramModel, promptOf } from '../test/ngram-model.ts';
import { compareWithExhaustive } from './bench/exhaustive.ts';
import {
  auditTrace,
  OpenAICompletionsModel,
  recordedLarge,
  replayEvents,
  solveToTrace,
  TAGS,
  traceFromEvents,
} from './index.ts';
import type { SolveEvent, TraceSegment } from './index.ts';
import { admit } from './relay/budget.ts';
import type { Spent } from './relay/budget.ts';
import { neutralise, stripTags, TagScanner, withoutTagAcross } from './text/tags.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.allSettled(cleanups.splice(0).map((clean) => clean()));
});

/** Text that tags, seams and UTF-8 can go wrong in. */
const bits = fc.constantFrom(
  'a',
  'b ',
  '<',
  '>',
  '/',
  '</',
  '<b',
  'big',
  '12',
  '+',
  '=',
  '.',
  '\n',
  'é',
  '∞',
  '😀',
  '👩‍🚀',
);
const words = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(bits, { minLength: min, maxLength: max }).map((parts) => parts.join(''));
const essence = (s: TraceSegment): unknown => [s.origin, s.text, s.tokens, s.reason];
const noTags = (text: string): boolean => !/<\/?bigmodel>/.test(text);

/** Cuts bytes at the given fractions of their length. */
function cutBytes(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => Math.floor(cut * bytes.length)))].sort((a, b) => a - b);
  return [0, ...places]
    .map((from, i) => bytes.subarray(from, places[i] ?? bytes.length))
    .filter((part) => part.length > 0);
}

/** Cuts a string between UTF-16 units, surrogate pairs included, as some servers do. */
function cutText(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => Math.floor(cut * text.length)))].sort((a, b) => a - b);
  return [0, ...places]
    .map((from, i) => text.slice(from, places[i] ?? text.length))
    .filter((part) => part !== '');
}

/** What a model writes on its own behind `text`. */
async function writes(model: LocalModel, text: string): Promise<string> {
  let written = '';
  for await (const chunk of model.generate(text, { maxTokens: TAGS.close.length })) written += chunk.text;
  return written;
}

const problem = fc.record({
  // The prompt's and the tag's last token must not merge with the first word: a model that learned the merged token cannot begin.
  lead: words(0, 12)
    .map((text) => `x${text}`)
    .filter(noTags),
  span: words(1, 30).filter(noTags),
  rest: words(0, 12)
    .map((text) => `y${text}`)
    .filter(noTags),
  beyond: words(0, 12).filter(noTags),
  // Pieces that end in a beginning of the tag merge with it in ways of their own.
  pieces: fc.array(
    fc.oneof(
      words(1, 4),
      words(0, 2).map((text) => `${text}</`),
      words(0, 2).map((text) => `${text}<b`),
    ),
    { maxLength: 12 },
  ),
  special: fc.boolean(),
  /** Tokens of a plain-text tag and its neighbours: of its beginning, or of the open tag's end, the whole span and more. */
  merged: fc.constantFrom(
    ['.<', '\n<', '=</', '</', 'big'],
    ['>SPAN', '</'],
    ['l>SPAN', '.<'],
    ['>SPAN<'],
    ['>SPAN</'],
    ['model>SPAN</b', 'big'],
  ),
  cuts: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 12 }),
  packets: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 12 }),
});

describe('the relay', () => {
  it('finds the seams whatever the tokenisation, the cuts and the characters', async () => {
    await fc.assert(
      fc.asyncProperty(
        problem,
        async ({ lead, span, rest, beyond, pieces, special, merged, cuts, packets }) => {
          // Text that runs into a tag forms another one; that is a different problem.
          const tagged = `${lead}<bigmodel>${span}</bigmodel>${rest}`;
          fc.pre(stripTags(tagged, ['<bigmodel>', '</bigmodel>']) === lead + span + rest);
          // Right behind the open tag there is nothing to hand back yet.
          const question = 'Which?';
          const small = ngramModel({
            documents: [promptOf(question) + tagged],
            // Plain-text tags merge with what stands around them, as in real vocabularies.
            pieces: [...pieces, ...(special ? [] : merged.map((piece) => piece.replace('SPAN', () => span)))],
            specialTags: special,
          });
          const events = [...cutText(span, cuts), ...cutText(beyond, cuts)].map(
            (text) => `data: ${JSON.stringify({ choices: [{ index: 0, text, finish_reason: null }] })}\n\n`,
          );
          const bytes = Buffer.from(events.join(''));
          const server = await faultServer((response) => {
            response.writeHead(200, { 'content-type': 'text/event-stream' });
            for (const packet of cutBytes(bytes, packets)) response.write(packet);
            finish(response);
          });
          const seen: SolveEvent[] = [];
          try {
            const large = new OpenAICompletionsModel({ url: server.url, model: 'm' });
            const trace = await solveToTrace(question, { small, large, keepWarm: false }, (e) =>
              seen.push(e),
            );
            expect(auditTrace(trace)).toEqual([]);
            const written = trace.segments[1]?.text ?? '';
            // Text that was cut inside a token reads as tokens that the model never saw there, and it may close the span earlier,
            // as exhaustive probing at that place would: right only where it would write the tag itself.
            if (written !== span && span.startsWith(written))
              expect(await writes(small, `${promptOf(question)}${lead}<bigmodel>${written}`)).toMatch(
                /^<\/bigmodel>/,
              );
            else {
              expect(trace.text).toBe(lead + span + rest);
              expect(trace.segments.map((s) => s.text)).toEqual([lead, span, rest]);
            }
            expect(seen.flatMap((e) => (e.type === 'text' ? [e.text] : [])).join('')).toBe(trace.text);
            expect(server.bodies.at(-1)!.prompt).toBe(promptOf(question) + lead);
            // Counted again from the pieces alone, live and from the record.
            expect(traceFromEvents(seen)).toEqual(trace);
            expect(traceFromEvents(replayEvents(trace))).toEqual(trace);
            // The record in place of the endpoint: the same small model comes to the same answer.
            const again = await solveToTrace(question, { small, large: recordedLarge(trace) });
            expect(again.segments.map(essence)).toEqual(trace.segments.map(essence));
          } finally {
            await Promise.all([server.close(), small.close()]);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('decides hand-back as exhaustive probing does', async () => {
    await fc.assert(
      fc.asyncProperty(problem, async ({ lead, span, rest, beyond, pieces, cuts }) => {
        const question = 'Which?';
        const small = ngramModel({
          documents: [`${promptOf(question)}${lead}<bigmodel>${span}</bigmodel>${rest}`],
          pieces,
        });
        const server = await faultServer((response) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          for (const text of [...cutText(span, cuts), ...cutText(beyond, cuts)])
            response.write(`data: ${JSON.stringify({ choices: [{ text, finish_reason: null }] })}\n\n`);
          finish(response);
        });
        try {
          const large = new OpenAICompletionsModel({ url: server.url, model: 'm' });
          const trace = await solveToTrace(question, { small, large, keepWarm: false });
          let end = 0;
          const ends = [...cutText(span, cuts), ...cutText(beyond, cuts)].map(
            (piece) => (end += piece.length),
          );
          const found = await compareWithExhaustive(trace, small, TAGS, async () =>
            // Inside a surrogate pair there is nothing to ask about.
            ends.filter((at) => !/[\uD800-\uDBFF]$/.test((span + beyond).slice(0, at))),
          );
          expect(found.every(({ agrees }) => agrees)).toBe(true);
        } finally {
          await Promise.all([server.close(), small.close()]);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('gives the same trace for the same seed', async () => {
    const question = 'Which?';
    const prompt = promptOf(question);
    const documents = ['ab', 'ba', 'aab', 'abb'].map((x) => `${prompt}${x}<bigmodel>12</bigmodel>${x}.`);
    const small = ngramModel({ documents, smoothing: 0.3 });
    const large = ngramModel({ documents: [`${prompt}ab12ab.`, `${prompt}ba12+12.`], smoothing: 0.3 });
    cleanups.push(
      () => small.close(),
      () => large.close(),
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
        const run = async (): Promise<unknown> => {
          const options = { small, large, sampling: { temperature: 1, seed }, budget: { maxTokens: 60 } };
          const trace = await solveToTrace(question, options);
          return trace.segments.map((s) => [s.origin, s.text, s.tokens, s.reason]);
        };
        expect(await run()).toEqual(await run());
      }),
      { numRuns: 15 },
    );
  });
});

describe('tags in streamed text', () => {
  it('are found however the text is cut, and never shown in part', () => {
    const text = fc.array(fc.oneof(bits, fc.constantFrom(TAGS.open, TAGS.close)), { maxLength: 20 });
    fc.assert(
      fc.property(text, fc.array(fc.double({ min: 0, max: 0.999, noNaN: true })), (parts, cuts) => {
        const whole = parts.join('');
        const scanner = new TagScanner([TAGS.open, TAGS.close]);
        let shown = '';
        let rebuilt = '';
        for (const piece of cutText(whole, cuts)) {
          for (let rest: string | undefined = piece; rest !== undefined;) {
            const found = scanner.push(rest);
            shown += found.text;
            rebuilt += found.text + (found.match ?? '');
            rest = found.match === undefined ? undefined : found.rest;
          }
          // What is shown is a beginning of the text without tags: no part of a tag is in it.
          expect(whole.split(TAGS.open).join('').split(TAGS.close).join('').startsWith(shown)).toBe(true);
        }
        expect(rebuilt + scanner.flush()).toBe(whole);
      }),
    );
  });

  it('are not completed across a seam, however often it is tried', () => {
    const part = fc.constantFrom('<', '<big', 'model>', 'igmodel>', '</', 'bigmodel>', 'a');
    const parts = fc.array(part, { maxLength: 6 }).map((list) => list.join(''));
    fc.assert(
      fc.property(parts, parts, (before, after) => {
        fc.pre(noTags(before) && noTags(after));
        const kept = withoutTagAcross(before, after, TAGS);
        expect(noTags(before + kept)).toBe(true);
        expect(after.endsWith(kept)).toBe(true);
      }),
    );
  });

  it('are neutralised in a question without losing a word of it', () => {
    const parts = fc.array(
      fc.constantFrom(
        TAGS.open,
        TAGS.close,
        '<|user|>',
        '<think>',
        '</s>',
        '[|user|]',
        'a',
        ' ',
        '<',
        '[INST]',
      ),
    );
    fc.assert(
      fc.property(parts, (list) => {
        const question = list.join('');
        const safe = neutralise(question, TAGS);
        expect(safe).not.toMatch(/<\/?bigmodel>|<\|user\|>|<think>|<\/s>|\[INST\]|\[\|user/);
        expect(safe.replaceAll(' ', '')).toBe(question.replaceAll(' ', ''));
      }),
    );
  });
});

describe('budgets', () => {
  it('never let the offload ratio pass its limit', () => {
    const steps = fc.array(fc.record({ small: fc.nat(60), wanted: fc.integer({ min: 1, max: 80 }) }), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), steps, (maxOffload, list) => {
        const spent: Spent = {
          smallTokens: 0,
          largeTokens: 0,
          discardedTokens: 0,
          spans: 0,
          cost: 0,
          elapsedMs: 0,
        };
        for (const { small, wanted } of list) {
          spent.smallTokens += small;
          const answer = admit({ maxOffload, maxSpans: 1000, maxTokens: 1e6 }, spent, null);
          if (!answer.admitted) continue;
          spent.largeTokens += Math.min(wanted, answer.maxTokens);
          spent.spans++;
          const ratio = spent.largeTokens / (spent.largeTokens + spent.smallTokens);
          expect(ratio).toBeLessThanOrEqual(maxOffload + 1e-9);
          expect(answer.pressure).toBeLessThanOrEqual(1);
        }
      }),
    );
  });
});
