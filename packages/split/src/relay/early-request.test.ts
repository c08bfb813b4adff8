// A tag of several tokens: the request goes out with the first of them, when it is likely to be the tag, and is dropped where it was
// something else. What a dropped one wrote is counted as overhead, and is nobody's text.

import type { LocalModel } from '@baton/runtime';
import { afterEach, expect, it } from 'vitest';

import { server } from '../../test/cleanups.ts';
import { stream } from '../../test/fault-server.ts';
import { ngramModel, promptOf } from '../../test/ngram-model.ts';
import { ANSWER, QUESTION, SPAN, largeModel, smallModel } from '../../test/pair.ts';
import { OpenAICompletionsModel, auditTrace, solveToTrace } from '../index.ts';
import type { SolveEvent } from '../index.ts';

const open: LocalModel[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});
const keep = (model: LocalModel): LocalModel => (open.push(model), model);

it('is sent before the tag is complete, from the text in front of it, and becomes the span', async () => {
  const events: SolveEvent[] = [];
  // A token takes its time, so that the eight behind the first are seen on the clock.
  const small = keep(smallModel({ specialTags: false, latency: { pass: 4, token: 0 } }));
  const trace = await solveToTrace(QUESTION, { small, large: keep(largeModel()), keepWarm: false }, (event) =>
    events.push(event),
  );
  expect(trace.text).toBe(ANSWER);
  expect(trace.totals.earlyRequests).toEqual({ sent: 1, dropped: 0 });
  const requests = events.filter((event) => event.type === 'request');
  expect(requests.map(({ kind, prompt }) => [kind, prompt])).toEqual([
    ['early', `${promptOf(QUESTION)}First, all the pens: 47*36=`],
  ]);
  // "<bigmodel>" is ten tokens here: nine of them were still to be written.
  expect(trace.segments[0]!.endMs - requests[0]!.atMs).toBeGreaterThan(8 * 4);
  const [span] = trace.segments.filter((s) => s.origin === 'large');
  expect(span).toMatchObject({ text: SPAN, reason: 'hand-back' });
});

it('is not sent where the policy says not to', async () => {
  const small = keep(smallModel({ specialTags: false }));
  const options = { small, large: keep(largeModel()), keepWarm: false, earlyRequest: false };
  const trace = await solveToTrace(QUESTION, options);
  expect(trace.text).toBe(ANSWER);
  expect(trace.totals.earlyRequests).toBeUndefined();
});

it('is dropped where the tag does not come, and what it wrote is paid for and is in no segment', async () => {
  const question = 'Which is less?';
  const prompt = promptOf(question);
  // "<" is as likely the tag's as a comparison's; what follows a digit settles it.
  const small = keep(
    ngramModel({
      documents: [
        `${prompt}3 <4, so \\boxed{3}.`,
        `${prompt}3 <4, so \\boxed{3}.`,
        `${prompt}3 <bigmodel>x</bigmodel>`,
      ],
      specialTags: false,
      latency: { pass: 5, token: 0 },
    }),
  );
  const remote = await server(stream(['never ', 'shown'], () => undefined));
  const large = new OpenAICompletionsModel({ url: remote.url, model: 'm', retries: 0 });
  const trace = await solveToTrace(question, {
    small,
    large,
    keepWarm: false,
    prices: { input: 1, output: 2 },
  });
  expect(auditTrace(trace)).toEqual([]);
  expect(trace.text).toBe('3 <4, so \\boxed{3}.');
  expect(trace.totals.earlyRequests).toEqual({ sent: 1, dropped: 1 });
  expect(trace.segments.every(({ origin }) => origin === 'small')).toBe(true);
  expect(trace.totals.overhead?.requests).toBe(1);
  expect(trace.totals.otherCost).toBeGreaterThan(0);
  expect(trace.notes.join('\n')).toMatch(/some prices are estimated/);
  // Its connection is closed: the server need not write on.
  await expect.poll(() => remote.closedEarly).toBe(1);
});
