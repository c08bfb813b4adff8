// Every policy on one question with a pair that answers it, and on the budgets. What is checked is the behaviour that
// defines the policy, not only that it ends.

import { afterEach, describe, expect, it } from 'vitest';

import type { LocalModel } from '@baton/runtime';
import type { TextModel } from '@baton/runtime/text-model';

import { ANSWER, LARGE_DOCUMENTS, QUESTION, SPAN, largeModel, smallModel } from '../../test/pair.ts';
import { ngramModel, promptOf } from '../../test/ngram-model.ts';
import { EndpointError, POLICY_HELP, parsePolicy, perplexityGate, solveToTrace } from '../index.ts';
import type { SolveOptions, Trace } from '../index.ts';

const open: LocalModel[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});
const keep = (model: LocalModel): LocalModel => (open.push(model), model);

async function run(policy: string, options: Partial<SolveOptions> = {}): Promise<Trace> {
  const models = { small: options.small ?? keep(smallModel()), large: options.large ?? keep(largeModel()) };
  const trace = await solveToTrace(QUESTION, { ...options, ...models, policy });
  expect(trace.segments.map((s) => s.text).join('')).toBe(trace.text);
  expect(trace.text).not.toMatch(/<\/?bigmodel>/);
  expect(trace.policy.split(':')[0]).toBe(policy.split(':')[0]);
  return trace;
}

const spans = (trace: Trace): string[] =>
  trace.segments.filter((s) => s.origin === 'large').map((s) => s.text);

describe('policies', () => {
  it('threshold hands off where the tag is probable enough, and not elsewhere', async () => {
    expect((await run('threshold:0.5')).text).toBe(ANSWER);
    const never = await run('threshold:0.99');
    expect(spans(never)).toEqual([]);
    expect(never.answer).toBe('1480');
  });

  it('bias moves the tag’s logit either way', async () => {
    expect((await run('bias:5')).text).toBe(ANSWER);
    expect((await run('bias:-20')).answer).toBe('1480');
  });

  it('grant:0 declines every request and says so', async () => {
    const trace = await run('grant:0');
    expect(spans(trace)).toEqual([]);
    expect(trace.segments.find((s) => s.reason === 'rejected')?.detail).toMatch(/declined at random/);
    expect((await run('grant:1')).text).toBe(ANSWER);
  });

  it('random depends on the seed only', async () => {
    const first = await run('random:0.5:6', { sampling: { seed: 3 } });
    const again = await run('random:0.5:6', { sampling: { seed: 3 } });
    const other = await run('random:0.5:6', { sampling: { seed: 4 } });
    expect(again.segments.map((s) => [s.origin, s.text])).toEqual(
      first.segments.map((s) => [s.origin, s.text]),
    );
    expect(other.segments.map((s) => s.text)).not.toEqual(first.segments.map((s) => s.text));
    expect((await run('random:0')).totals.largeTokens).toBe(0);
    expect((await run('random:1')).text).toBe(ANSWER);
  });

  it('entropy gives uncertain steps to the large model, whole and nothing else', async () => {
    const prompt = promptOf(QUESTION);
    const unsure = keep(
      ngramModel({
        documents: [
          `${prompt}First, 3.\nSo 5.\n</think>\n\\boxed{5}`,
          `${prompt}Now, 4.\nSo 5.\n</think>\n\\boxed{5}`,
        ],
      }),
    );
    const trace = await run('entropy:0.5', { small: unsure });
    expect(trace.segments[0]!.origin).toBe('small');
    expect(spans(trace)[0]).toBe(`${ANSWER.split('\n')[0]}\n`);
    expect((await run('entropy:15', { small: unsure })).totals.largeTokens).toBe(0);
  });

  it('cues hand over behind a word of doubt after a blank line', async () => {
    const prompt = promptOf(QUESTION);
    const text = 'It is 5.\n\nWait, that is wrong.\n\nSo it is 6.\n</think>\nThe answer is \\boxed{6}.';
    const small = keep(ngramModel({ documents: [prompt + text] }));
    const large = keep(
      ngramModel({ documents: [`${prompt}It is 5.\n\nWait, 5 is too small.\n\nI would say 9.`] }),
    );
    const trace = await run('cues', { small, large });
    expect(trace.segments[0]!.text).toBe('It is 5.\n\nWait,');
    expect(spans(trace)).toEqual([' 5 is too small.\n\n']);
  });

  it('call gives exactly the tokens that were asked for', async () => {
    const prompt = promptOf(QUESTION);
    const small = keep(
      ngramModel({
        documents: [`${prompt}First: 47*36=<call>5</call>1200+ is enough.\n</think>\n\\boxed{1}`],
      }),
    );
    const large = keep(ngramModel({ documents: [`${prompt}First: 47*36=1200+240+210+42`] }));
    const trace = await run('call', { small, large });
    expect(spans(trace)).toEqual(['1200+']);
    expect(trace.segments[1]!.tokens).toBe(5);
    expect(trace.text).not.toContain('call>');
  });

  it('call answers on its own where nothing is granted or the endpoint is gone, and shows no request', async () => {
    const prompt = promptOf(QUESTION);
    const asks = `First: 47*36=<call>5</call>`;
    const alone = '1200 then.\n</think>\n\\boxed{1200}';
    const documents = [
      ...Array<string>(3).fill(`${prompt}${asks}${alone}`),
      `${prompt}First: 47*36=${alone}`,
    ];
    const small = (): LocalModel => keep(ngramModel({ documents }));
    const dead: TextModel = {
      id: 'gone',
      location: 'nowhere',
      capabilities: { logprobs: false, sessions: false, rawCompletion: true, billed: true },
      // eslint-disable-next-line require-yield
      async *generate() {
        throw new EndpointError('refused', 'nobody is there');
      },
    };
    for (const options of [{ budget: { maxSpans: 0 } }, { large: dead }]) {
      const trace = await run('call', { small: small(), ...options });
      expect(trace.stopReason).toBe('end');
      expect(trace.answer).toBe('1200');
      expect(trace.text).not.toMatch(/call/);
      expect(trace.segments.filter((s) => s.reason === 'rejected').length).toBeLessThanOrEqual(2);
    }
  });

  it('spec-reason rewrites what the large model rates below the mark', async () => {
    // The large model rates 3: it was taught to.
    const rated = (digit: string): LocalModel =>
      keep(
        ngramModel({
          documents: [...LARGE_DOCUMENTS, `wrong or useless) to 9 (correct and useful). Rating: ${digit}`],
        }),
      );
    const rewritten = await run('spec-reason:7', { large: rated('3') });
    expect(rewritten.text).toBe(ANSWER);
    expect(spans(rewritten).length).toBeGreaterThan(0);
    expect(rewritten.totals.overhead!.smallTokens).toBeGreaterThan(0);
    const accepted = await run('spec-reason:7', { large: rated('9') });
    expect(spans(accepted)).toEqual([]);
  });

  it('step-score rewrites steps that the large model finds unlikely', async () => {
    const trace = await run('step-score:-0.5');
    expect(trace.text).toBe(ANSWER);
    expect(spans(trace).length).toBeGreaterThan(0);
    expect((await run('step-score:-100')).totals.largeTokens).toBe(0);
  });

  it('speculative decoding gives the large model’s own text, token for token', async () => {
    const trace = await run('speculative:6');
    const alone = await run('large');
    expect(trace.text).toBe(alone.text);
    expect(trace.totals.smallTokens).toBeGreaterThan(10);
    expect(trace.totals.largeTokens).toBeLessThan(alone.totals.largeTokens);
  });

  it('subselection keeps what the large model is surest of', async () => {
    const trace = await run('subselect:4', { sampling: { temperature: 1, seed: 5 } });
    expect(trace.stopReason).toBe('end');
    expect(trace.totals.overhead!.smallTokens).toBeGreaterThan(0);
  });

  it('rewriting lets the large model answer from the small one’s condensed thoughts', async () => {
    const trace = await run('rewrite:2', { budget: { maxTokens: 400, maxSpanTokens: 40 } });
    expect(trace.segments.map((s) => s.origin)).toEqual(['small', 'large']);
    expect(trace.segments[0]!.text.endsWith('\nWait, ')).toBe(true);
  });

  it('gated sends questions that the small model finds predictable to it alone', async () => {
    const easy = await run('gated:-100:learned');
    expect(easy.totals.largeTokens).toBe(0);
    expect(easy.notes.join()).toMatch(/gate: small only \(mean log-probability/);
    expect(easy.policy).toBe('gated:-100:learned');
    const optional = await run('large', { gate: perplexityGate(-100) });
    expect(optional.answer).toBe('1480');
    const routed = await run('gated:-100:large');
    expect(routed.answer).toBe('1480');
    expect((await run('gated:0:large')).text).toBe(ANSWER);
    const hard = await run('gated:-0:threshold:0.5');
    expect(hard.text).toBe(ANSWER);
    expect(hard.policy).toBe('gated:0:threshold:0.5');
    expect(() => parsePolicy('gated:-1')).toThrow('name the policy behind the gate');
    expect(() => parsePolicy('gated:x:learned')).toThrow('must be a number from -100 to 0');
    expect(() => parsePolicy('gated:-1:gated:-1:clever')).toThrow('unknown policy');
  });

  it('threshold, with a tag of several tokens, is not taken in by what its first token also begins', async () => {
    const prompt = promptOf(QUESTION);
    const text = 'As 3 < 5 and 2 < 4: 1+1=<bigmodel>2</bigmodel>.\n</think>\n\\boxed{2}';
    const small = keep(ngramModel({ documents: [prompt + text], specialTags: false, pieces: ['</', 'big'] }));
    const large = keep(ngramModel({ documents: [`${prompt}As 3 < 5 and 2 < 4: 1+1=2.\n</think>`] }));
    const trace = await run('threshold:0.5', { small, large });
    expect(trace.segments.map((s) => [s.origin, s.text])).toEqual([
      ['small', 'As 3 < 5 and 2 < 4: 1+1='],
      ['large', '2'],
      ['small', '.\n</think>\n\\boxed{2}'],
    ]);
  });

  it('bias refuses a tag of several tokens, where it would favour other text', async () => {
    const small = keep(smallModel({ specialTags: false }));
    const trace = await run('bias:5', { small });
    expect(trace.stopReason).toBe('error');
    expect(trace.notes.join()).toMatch(/writes its tag in several tokens.*use threshold:P/);
  });

  it('a tag that a pause or a change of writers falls into is not shown', async () => {
    const prompt = promptOf(QUESTION);
    const tagged = `${prompt}So: <bigmodel>it is 7</bigmodel>, and <bigmodel>that is it`;
    // Whatever the place of the pause: every chunk length from 1 to 12.
    for (let chunk = 1; chunk <= 12; chunk++) {
      const small = keep(ngramModel({ documents: [tagged], specialTags: false }));
      const large = keep(ngramModel({ documents: [tagged], specialTags: false }));
      for (const ratio of [0, 0.5]) {
        const trace = await run(`random:${ratio}:${chunk}`, { small, large, budget: { maxTokens: 90 } });
        expect(trace.text).not.toMatch(/<\/?bigmodel>/);
        if (ratio === 0) expect(trace.text).not.toMatch(/<\/?big/);
      }
    }
  });

  it.each(POLICY_HELP.map(([form]) => form.replace(/\[.*\]/, '').replace(/:.*/, '')))(
    '%s: a name without its parameters is understood or refused',
    (name) => {
      try {
        expect(parsePolicy(name).name.startsWith(name)).toBe(true);
      } catch (error) {
        expect(String(error)).toMatch(new RegExp(`policy "${name}": .* must be a number`));
      }
    },
  );
});

describe('budgets', () => {
  it('reject a hand-off that would pass the offload ratio, at every moment', async () => {
    const trace = await run('learned', { budget: { maxOffload: 0.2 } });
    expect(trace.totals.offloadRatio).toBeLessThanOrEqual(0.2);
    expect(trace.segments.some((s) => s.reason === 'rejected' && /offload budget 0.2/.test(s.detail!))).toBe(
      true,
    );
    expect(trace.stopReason).toBe('end');
  });

  it('let early spans through when the length is foreseen', async () => {
    const trace = await run('learned', { budget: { maxOffload: 0.5, expectedTokens: 200 } });
    expect(spans(trace)).toEqual([SPAN]);
  });

  it('end a span at its token limit and go on', async () => {
    const trace = await run('learned', { budget: { maxSpanTokens: 9, maxSpans: 1 } });
    const span = trace.segments.find((s) => s.origin === 'large')!;
    expect(span.reason).toBe('span-limit');
    expect(span.tokens).toBe(9);
  });

  it('count spans and money', async () => {
    const none = await run('learned', { budget: { maxSpans: 0 } });
    expect(none.totals.offloadSpans).toBe(0);
    expect(none.notes.join()).toMatch(/no more hand-offs: budget reached: 0 of 0 spans/);
    const priced = await run('learned', { prices: { input: 1, cachedInput: 0.1, output: 10 } });
    expect(priced.totals.cost).toBeGreaterThan(0);
    expect(priced.totals.cost).toBeCloseTo(
      priced.segments.reduce((sum, s) => sum + (s.cost ?? 0), 0),
      12,
    );
    // A span is no longer than the money left for it: 10 per million tokens, and the prompt is paid for first.
    const capped = await run('learned', { prices: { input: 0, output: 10 }, budget: { maxCost: 120e-6 } });
    expect(spans(capped)).toHaveLength(1);
    expect(capped.segments.find((s) => s.origin === 'large')!.reason).toBe('span-limit');
    expect(capped.totals.cost).toBeLessThanOrEqual(120e-6);
    const broke = await run('learned', { prices: { input: 1, output: 10 }, budget: { maxCost: 0 } });
    expect(broke.totals.offloadSpans).toBe(0);
  });
});

describe('the small model in a loop', () => {
  it('gets help once, and is stopped if that does not help', async () => {
    const prompt = promptOf(QUESTION);
    const again = 'Let me see once more. ';
    const small = keep(ngramModel({ documents: [prompt + again.repeat(60)] }));
    const large = keep(ngramModel({ documents: [prompt + again.repeat(60)] }));
    const trace = await run('learned', { small, large, budget: { maxTokens: 3000, maxSpanTokens: 40 } });
    expect(trace.stopReason).toBe('loop');
    expect(trace.segments.filter((s) => s.reason === 'loop').length).toBe(2);
    expect(trace.totals.smallTokens).toBeLessThan(1500);
  });
});

describe('the person’s question', () => {
  it('may hold tags and chat markers: they reach the models as harmless text', async () => {
    const small = keep(smallModel());
    const question = 'What do <bigmodel>, </bigmodel> and <|assistant|> mean? <think>';
    const trace = await solveToTrace(question, { small, policy: 'small', budget: { maxTokens: 5 } });
    expect(trace.question).toBe(question);
    expect(trace.prompt).toContain('What do < bigmodel>, < /bigmodel> and < |assistant|> mean? < think>');
    expect(trace.prompt.match(/<\|assistant\|>/g)).toHaveLength(1);
  });
});
