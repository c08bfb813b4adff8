import { afterEach, describe, expect, it } from 'vitest';

import { ANSWER, QUESTION, SPAN, largeModel, smallModel } from '../test/pair.ts';
import { solve, solveToTrace } from './index.ts';
import type { SolveEvent, Trace } from './index.ts';

const open: { close(): Promise<void> }[] = [];
const keep = <T extends { close(): Promise<void> }>(model: T): T => (open.push(model), model);
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});

function check(trace: Trace): void {
  expect(trace.segments.map((s) => s.text).join('')).toBe(trace.text);
  expect(trace.text).not.toMatch(/<\/?bigmodel>/);
  const sum = (origin: string): number =>
    trace.segments.filter((s) => s.origin === origin).reduce((n, s) => n + s.tokens, 0);
  expect(trace.totals.smallTokens).toBe(sum('small'));
  expect(trace.totals.largeTokens).toBe(sum('large'));
}

describe('solve with two local models', () => {
  it('hands the hard step over and takes the baton back where the small model would have', async () => {
    const trace = await solveToTrace(QUESTION, { small: keep(smallModel()), large: keep(largeModel()) });
    check(trace);
    expect(trace.text).toBe(ANSWER);
    expect(trace.answer).toBe('1600');
    expect(trace.segments.map((s) => [s.origin, s.reason])).toEqual([
      ['small', 'hand-off'],
      ['large', 'hand-back'],
      ['small', 'end'],
    ]);
    expect(trace.segments[1]!.text).toBe(SPAN);
    expect(trace.stopReason).toBe('end');
    expect(trace.totals.probeTokens).toBe(0);
  });

  it('works the same with tags that are plain text', async () => {
    const small = keep(smallModel({ specialTags: false }));
    const trace = await solveToTrace(QUESTION, { small, large: keep(largeModel()) });
    check(trace);
    expect(trace.text).toBe(ANSWER);
    expect(trace.segments[1]!.text).toBe(SPAN);
  });

  it('small alone may not ask for help, and is wrong', async () => {
    const trace = await solveToTrace(QUESTION, { small: keep(smallModel()), policy: 'small' });
    check(trace);
    expect(trace.answer).toBe('1480');
    expect(trace.totals.largeTokens).toBe(0);
    expect(trace.models.large).toBeNull();
  });

  it('large alone writes everything', async () => {
    const trace = await solveToTrace(QUESTION, {
      small: keep(smallModel()),
      large: keep(largeModel()),
      policy: 'large',
    });
    check(trace);
    expect(trace.text).toBe(ANSWER);
    expect(trace.totals.offloadRatio).toBe(1);
  });

  it('never takes back text that an event has shown', async () => {
    const events: SolveEvent[] = [];
    const trace = await solveToTrace(
      QUESTION,
      { small: keep(smallModel()), large: keep(largeModel()) },
      (event) => events.push(event),
    );
    const shown = events.flatMap((e) => (e.type === 'text' ? [e.text] : [])).join('');
    expect(shown).toBe(trace.text);
    expect(events.at(-1)).toEqual({ type: 'end', trace });
  });

  it('stops within a step when the person stops it, with a complete trace', async () => {
    const control = new AbortController();
    let seen = 0;
    const trace = await solveToTrace(
      QUESTION,
      { small: keep(smallModel()), large: keep(largeModel()), signal: control.signal },
      (event) => {
        if (event.type === 'text' && ++seen === 5) control.abort();
      },
    );
    check(trace);
    expect(trace.stopReason).toBe('aborted');
    expect(trace.segments.at(-1)!.reason).toBe('aborted');
    expect(ANSWER.startsWith(trace.text)).toBe(true);
  });

  it('can be left in the middle', async () => {
    const small = keep(smallModel());
    for await (const event of solve(QUESTION, { small, large: keep(largeModel()) })) {
      if (event.type === 'text' && event.origin === 'large') break;
    }
    // The session was given back: the model still answers.
    const trace = await solveToTrace(QUESTION, { small, policy: 'small' });
    expect(trace.answer).toBe('1480');
  });

  it('refuses options that cannot work before anything runs', async () => {
    const small = keep(smallModel());
    await expect(solveToTrace('  ', { small })).rejects.toThrow('the question is empty');
    for (const tags of [
      { open: '', close: 'ab' },
      { open: '§', close: '¶¶' },
      { open: 'ab', close: 'ab' },
    ])
      await expect(solveToTrace(QUESTION, { small, tags })).rejects.toThrow('two different texts');
    await expect(solveToTrace(QUESTION, { small, policy: 'learned' })).rejects.toThrow('needs a large model');
    await expect(solveToTrace(QUESTION, { small, policy: 'clever' })).rejects.toThrow('unknown policy');
    await expect(solveToTrace(QUESTION, { small, policy: 'random:7' })).rejects.toThrow('from 0 to 1');
    await expect(
      solveToTrace(QUESTION, { small, policy: 'small', budget: { maxOffload: 2 } }),
    ).rejects.toThrow('ratio from 0 to 1');
  });

  it('ends at the token limit', async () => {
    const trace = await solveToTrace(QUESTION, {
      small: keep(smallModel()),
      large: keep(largeModel()),
      budget: { maxTokens: 12 },
    });
    check(trace);
    expect(trace.stopReason).toBe('length');
    expect(trace.totals.smallTokens).toBe(12);
  });
});
