// A close tag that the large model writes where nobody waits to take over.

import { expect, it } from 'vitest';

import { cleanups, server } from '../../test/cleanups.ts';
import { stream } from '../../test/fault-server.ts';
import { QUESTION, smallModel } from '../../test/pair.ts';
import { auditTrace, solveToTrace } from '../index.ts';
import { OpenAICompletionsModel } from '../endpoint/index.ts';

const pieces = ['1200+', '240</big', 'model>', '+<bigmodel>210', '</bigmodel>+42', '=1692</big'];

it.each(['large', 'rewrite:1'])('is taken out, and the text goes on: %s', async (policy) => {
  const { url } = await server(stream(pieces));
  const small = smallModel();
  cleanups.push(() => small.close());
  const large = new OpenAICompletionsModel({ url, model: 'm' });
  const trace = await solveToTrace(QUESTION, { small, large, policy, keepWarm: false });
  expect(auditTrace(trace)).toEqual([]);
  expect(trace.stopReason).toBe('end');
  expect(trace.segments.at(-1)).toMatchObject({
    origin: 'large',
    reason: 'end',
    text: '1200+240+210+42=1692</big',
    tokens: 7,
    discardedTokens: 0,
  });
});
