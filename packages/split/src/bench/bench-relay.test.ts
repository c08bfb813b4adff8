import { afterEach, describe, expect, it } from 'vitest';

import { ANSWER, QUESTION, largeModel, smallModel } from '../../test/pair.ts';
import { OpenAICompletionsModel } from '../endpoint/openai-completions.ts';
import { solveToTrace } from '../solve.ts';
import { benchRelay } from './bench-relay.ts';
import { serveModel } from './model-endpoint.ts';
import { paperSerial } from './paper-serial.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.allSettled(cleanups.splice(0).map((clean) => clean()));
});

function pair(): { small: ReturnType<typeof smallModel>; large: ReturnType<typeof largeModel> } {
  const small = smallModel();
  const large = largeModel();
  cleanups.push(
    () => small.close(),
    () => large.close(),
  );
  return { small, large };
}

describe('the paper’s serial protocol', () => {
  it('comes to the same text at the price of probe tokens', async () => {
    const { small, large } = pair();
    const endpoint = await serveModel(large);
    cleanups.push(() => endpoint.close());
    const remote = new OpenAICompletionsModel({ url: endpoint.url });
    const trace = await solveToTrace(QUESTION, {
      small,
      large: remote,
      policy: paperSerial(),
      keepWarm: false,
    });
    expect(trace.text).toBe(ANSWER);
    expect(trace.totals.probeTokens).toBeGreaterThan(20);
  });
});

describe('benchRelay', () => {
  it('measures every protocol and finds one-pass decisions equal to exhaustive probing', async () => {
    const { small, large } = pair();
    const bench = await benchRelay({
      small,
      large,
      questions: [QUESTION],
      latenciesMs: [10],
      contextTokens: 100,
    });
    const [figures] = bench.latencies;
    expect(figures!.protocols.map((p) => p.protocol)).toEqual(['paper-serial', 'serial', 'pipelined']);
    const pipelined = figures!.protocols[2]!;
    expect(pipelined.probeTokens).toBe(0);
    expect(pipelined.spans).toBe(1);
    expect(pipelined.handOffMs).toBeGreaterThanOrEqual(10);
    expect(bench.handBackAgreement).toEqual({ spans: 1, equal: 1, share: 1 });
    expect(bench.contextHandOff).toHaveLength(1);
  });
});
