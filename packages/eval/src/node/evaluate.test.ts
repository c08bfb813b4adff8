import { appendFile, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';
import { makeTrace } from '../../test/make-trace.ts';
import type { Problem } from '../tasks/problem.ts';
import { evaluate } from './evaluate.ts';
import type { Arm, EvaluateOptions } from './evaluate.ts';
import { loadTask, problemsSha256, taskNames } from './load-task.ts';

const problems: Problem[] = Array.from({ length: 20 }, (_, i) => ({
  id: `p${i}`,
  question: `${i}+1?`,
  answer: `${i + 1}`,
  extra: {},
}));
const task = { name: 'plus-one', problems, sha256: problemsSha256(problems) };
const settings = {
  small: 's',
  large: 'l',
  temperature: 0,
  maxTokens: 64,
  maxOffload: null,
  topP: null,
  prices: null,
  seed: 1,
};

/** An arm that is right on the first `right` problems and hands off `large` of its 20 tokens. */
function arm(name: string, right: number, large: number, ran: string[] = []): Arm {
  return {
    name,
    open: async () => async (problem) => {
      ran.push(problem.id);
      const at = problems.indexOf(problem);
      const text = ` \\boxed{${at < right ? problem.answer : 'no'}}`;
      const parts = [
        { origin: 'small' as const, tokens: 20 - large },
        ...(large === 0 ? [] : [{ origin: 'large' as const, tokens: large }]),
        { origin: large === 20 ? ('large' as const) : ('small' as const), tokens: 0, text },
      ];
      return makeTrace(
        parts.filter((part) => part.tokens > 0 || 'text' in part),
        undefined,
        name,
      );
    },
  };
}

async function options(arms: Arm[], more: Partial<EvaluateOptions> = {}): Promise<EvaluateOptions> {
  const out = more.out ?? (await mkdtemp(join(tmpdir(), 'baton-eval-')));
  return { task, arms, settings, ...more, out };
}

test('three arms end in one report with accuracy, offload, gap and paired statistics', async () => {
  const { report, written } = await evaluate(
    await options([arm('small', 8, 0), arm('large', 18, 20), arm('learned', 16, 5)]),
  );
  expect(report.complete).toBe(true);
  expect(report.arms.map((one) => [one.arm, one.pass1.value, one.offload.pooled])).toEqual([
    ['small', 0.4, 0],
    ['large', 0.9, 1],
    ['learned', 0.8, 0.25],
  ]);
  expect(report.gapClosed).toMatchObject([{ arm: 'learned', value: 0.8, questions: 20, resolved: true }]);
  expect(report.comparisons.find((one) => one.from === 'small' && one.to === 'learned')).toMatchObject({
    better: 8,
    worse: 0,
    difference: 0.4,
  });
  expect(report.latency?.arms.map((one) => one.arm)).toEqual(['learned']);
  expect(report.failures).toEqual([]);
  const names = written.map((path) => path.split('/').at(-1));
  expect(names).toContain('report.md');
  for (const svg of written.filter((path) => path.endsWith('.svg'))) {
    const text = await readFile(svg, 'utf8');
    expect(text).toMatch(/^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(text).not.toMatch(/NaN/);
  }
  const markdown = await readFile(written.at(-1)!, 'utf8');
  expect(markdown).toContain('| learned | 80.0 % (58.4 to 91.9) | 16 / 20 | 25.0 %');
  expect(markdown).not.toMatch(/NaN|undefined:|\bnull\b/);
});

test('the share of a gap that may not exist is called unclear, one that does not exist undefined', async () => {
  const close = await evaluate(
    await options([arm('small', 16, 0), arm('large', 17, 20), arm('learned', 10, 5)]),
  );
  expect(close.report.gapClosed).toMatchObject([{ value: -6, resolved: false }]);
  expect(await readFile(close.written.at(-1)!, 'utf8')).toContain(
    '| learned | unclear: large may not be better',
  );
  const none = await evaluate(
    await options([arm('small', 17, 0), arm('large', 17, 20), arm('learned', 17, 5)]),
  );
  expect(none.report.gapClosed).toMatchObject([{ value: null, resolved: false }]);
});

test('a run that was killed mid-line goes on where it stopped and repeats nothing', async () => {
  const ran: string[] = [];
  const first = await options([arm('learned', 20, 5, ran)], { limit: 7 });
  await evaluate(first);
  const file = join(first.out, 'traces', 'learned.jsonl');
  await appendFile(file, (await readFile(file, 'utf8')).slice(0, 333));
  await writeFile(join(first.out, '.lock'), '999999999\n');
  const { report } = await evaluate(await options([arm('learned', 20, 5, ran)], { out: first.out }));
  expect(report.arms[0]!.runs).toBe(20);
  expect(ran).toHaveLength(20);
  expect(new Set(ran).size).toBe(20);
});

test('an interrupted arm keeps what is finished, reports it as incomplete, and can be reported without models', async () => {
  const stop = new AbortController();
  const slow = arm('small', 20, 0);
  const stopping: Arm = {
    name: 'small',
    open: async (finished) => {
      const solve = await slow.open(finished);
      return async (problem, run) => {
        if (problem.id === 'p5') stop.abort();
        run.signal.throwIfAborted();
        return solve(problem, run);
      };
    },
  };
  const first = await options([stopping], { signal: stop.signal });
  const { report } = await evaluate(first);
  expect(report.complete).toBe(false);
  expect(report.arms[0]!.runs).toBe(5);
  expect(report.failures).toEqual([]);
  const unopenable: Arm = { name: 'small', open: () => Promise.reject(new Error('opened')) };
  const again = await evaluate({
    ...first,
    arms: [unopenable],
    reportOnly: true,
    signal: new AbortController().signal,
  });
  expect(again.report.arms[0]!.runs).toBe(5);
  expect(await readdir(first.out)).not.toContain('.lock');
});

test('one problem that throws is reported and the others go on; five in a row end the arm', async () => {
  const failing = (bad: (problem: Problem) => boolean): Arm => ({
    name: 'small',
    open: async (finished) => {
      const solve = await arm('small', 20, 0).open(finished);
      return async (problem, run) => {
        if (bad(problem)) throw new Error(`no room for ${problem.id}\nstack`);
        return solve(problem, run);
      };
    },
  });
  const one = await evaluate(await options([failing((problem) => problem.id === 'p3')]));
  expect(one.report.failures).toEqual([{ arm: 'small', id: 'p3', sample: 0, message: 'no room for p3' }]);
  expect(one.report.arms[0]!.runs).toBe(19);
  const all = await evaluate(await options([failing(() => true)]));
  expect(all.report.failures).toHaveLength(5);
  expect(all.report.complete).toBe(false);
});

test('an arm that cannot be opened does not cost the others their report, unless there is nothing to report', async () => {
  const closed: Arm = { name: 'random:matched', open: () => Promise.reject(new Error('nothing to match')) };
  const { report } = await evaluate(await options([arm('small', 8, 0), closed]));
  expect(report.arms.map((one) => one.arm)).toEqual(['small']);
  expect(report.complete).toBe(false);
  expect(report.failures).toEqual([
    { arm: 'random:matched', id: 'all', sample: 0, message: 'nothing to match' },
  ]);
  await expect(evaluate(await options([closed, arm('small', 8, 0)]))).rejects.toThrow('nothing to match');
});

test('a call that ends before its first run leaves nothing in a new folder, and all in one that holds runs', async () => {
  const closed: Arm = { name: 'random:matched', open: () => Promise.reject(new Error('nothing to match')) };
  const place = await mkdtemp(join(tmpdir(), 'baton-eval-'));
  const fresh = await options([closed], { out: join(place, 'deep', 'out') });
  await expect(evaluate(fresh)).rejects.toThrow('nothing to match');
  expect(await readdir(place)).toEqual([]);
  const used = await options([arm('small', 8, 0)]);
  await evaluate(used);
  const before = await readdir(used.out);
  const none = { ...used, arms: [closed], task: { ...task, problems: [] } };
  await expect(evaluate(none)).rejects.toThrow('no problem');
  await expect(evaluate({ ...used, arms: [closed] })).rejects.toThrow('nothing to match');
  expect(await readdir(used.out)).toEqual(before);
  expect((await evaluate({ ...used, reportOnly: true })).report.arms[0]!.runs).toBe(20);
});

test('runs that an error cut short are in the report with what failed', async () => {
  const dead: Arm = {
    name: 'large',
    open: async () => async () => ({
      ...makeTrace([{ origin: 'large', tokens: 0, reason: 'endpoint-error' }], undefined, 'large'),
      stopReason: 'error' as const,
      notes: ['the endpoint is gone'],
    }),
  };
  const lonely: Arm = {
    name: 'learned',
    open: async () => async (problem) => {
      const left = problem.id === 'p0' ? 'hand-back' : 'endpoint-error';
      const trace = makeTrace([
        { origin: 'small', tokens: 4 },
        { origin: 'large', tokens: 1, reason: left },
        { origin: 'small', tokens: 4, text: '\\boxed{1}', reason: 'end' },
      ]);
      trace.segments[1]!.detail = `connection refused ${problem.id === 'p1' ? 'once' : 'again'}`;
      return trace;
    },
  };
  const { report, written } = await evaluate(await options([arm('small', 2, 0), dead, lonely], { limit: 4 }));
  expect(report.arms.map(({ errors }) => errors)).toEqual([
    { runs: 0, reasons: {} },
    { runs: 4, reasons: { 'the large model failed: no reason was given': 4 } },
    {
      runs: 3,
      reasons: {
        'the large model failed: connection refused again': 2,
        'the large model failed: connection refused once': 1,
      },
    },
  ]);
  expect(await readFile(written.at(-1)!, 'utf8')).toContain(
    '- learned: an error cut 3 of 4 runs short: the large model failed: connection refused again (2); the large',
  );
});

test('an arm may be added later: a model that a call does not need fits any, a different one does not', async () => {
  const first = await options([arm('small', 8, 0)], { settings: { ...settings, large: null } });
  await evaluate(first);
  const { report } = await evaluate({ ...first, settings, arms: [arm('small', 8, 0), arm('large', 18, 20)] });
  expect(report.arms.map((one) => one.runs)).toEqual([20, 20]);
  await evaluate(first);
  const other = { ...first, settings: { ...settings, large: 'retrained' } };
  await expect(evaluate(other)).rejects.toThrow(/holds runs with large = "l", this call has "retrained"/);
});

test('traces that an error cut short are run again on request only', async () => {
  const broken: Arm = {
    name: 'learned',
    open: async () => async () => makeTrace([{ origin: 'large', tokens: 1, reason: 'endpoint-error' }]),
  };
  const first = await options([broken], { limit: 3 });
  await evaluate(first);
  const ran: string[] = [];
  await evaluate({ ...first, arms: [arm('learned', 20, 5, ran)] });
  expect(ran).toEqual([]);
  const { report } = await evaluate({ ...first, arms: [arm('learned', 20, 5, ran)], retryErrors: true });
  expect(ran).toEqual(['p0', 'p1', 'p2']);
  expect(report.arms[0]!.pass1.value).toBe(1);
});

test('several samples: seeds differ by sample and are the same in every arm; cov@k and maj@k are reported', async () => {
  const seeds = new Map<string, number[]>();
  const sampled = (name: string): Arm => ({
    name,
    open: async () => async (problem, run) => {
      seeds.set(name, [...(seeds.get(name) ?? []), run.seed]);
      const text = `\\boxed{${run.sample % 2 === 0 ? problem.answer : -run.sample}}`;
      return makeTrace([{ origin: 'small', tokens: 4, text }], undefined, name);
    },
  });
  const { report } = await evaluate(
    await options([sampled('small'), sampled('entropy:2')], {
      samples: 4,
      limit: 3,
      settings: { ...settings, temperature: 0.6 },
      concurrency: 3,
    }),
  );
  const sorted = [...seeds.values()].map((list) => [...list].sort((a, b) => a - b));
  expect(new Set(sorted[0]).size).toBe(12);
  expect(sorted[0]).toEqual(sorted[1]);
  expect(report.arms[0]!.coverage.map((at) => at.k)).toEqual([1, 2, 4]);
  expect(report.arms[0]!.coverage[1]!.value).toBeCloseTo(5 / 6);
  expect(report.arms[0]!.majority[2]!.value).toBe(1);
});

test.each<[string, (first: EvaluateOptions) => EvaluateOptions | Promise<EvaluateOptions>, RegExp]>([
  [
    'another seed',
    (first) => ({ ...first, settings: { ...settings, seed: 2 } }),
    /holds runs with seed = 1, this call has 2/,
  ],
  ['another task', (first) => ({ ...first, task: { ...task, sha256: 'other' } }), /taskSha256/],
  ['no arm', (first) => ({ ...first, arms: [] }), /no policy/],
  [
    'one policy twice',
    (first) => ({ ...first, arms: [arm('small', 1, 0), arm('small', 1, 0)] }),
    /share one trace file/,
  ],
  ['greedy samples', (first) => ({ ...first, samples: 2 }), /temperature 0 would all be the same/],
  [
    'a living owner',
    async (first) => (await writeFile(join(first.out, '.lock'), `${process.pid}`), first),
    /in use: process \d+ still holds .*, or choose another --out$/,
  ],
  [
    'an owner that has yet to write its name',
    async (first) => (await writeFile(join(first.out, '.lock'), ''), first),
    /in use: .*, or choose another --out$/,
  ],
  [
    'a foreign row',
    async (first) => (await appendFile(join(first.out, 'traces', 'small.jsonl'), '{"a":1}\n'), first),
    /small\.jsonl:3: not a run/,
  ],
])('refuses %s with one clear line', async (_, change, message) => {
  const first = await options([arm('small', 20, 0)], { limit: 2 });
  await evaluate(first);
  const error = await evaluate(await change(first)).then(
    () => null,
    (reason: Error) => reason,
  );
  expect(error?.message).toMatch(message);
  expect(error?.message).not.toContain('\n');
});

test('tasks come by name or by file, and an unknown one names the known', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'baton-task-'));
  const file = join(dir, 'mine.jsonl');
  await writeFile(file, '{"id":"a","question":"q","answer":"1"}\n');
  expect(await loadTask(file)).toMatchObject({ name: 'mine.jsonl', problems: [{ id: 'a' }] });
  await expect(loadTask(join(dir, 'none.jsonl'))).rejects.toThrow(/no such file/);
  await expect(loadTask(dir)).rejects.toThrow(/: is a folder; a task is a \.jsonl file/);
  await expect(loadTask('no-such-task')).rejects.toThrow(/no task named "no-such-task"; known:/);
  await writeFile(file, '{"id":"a"}\n{"id":\n');
  await expect(loadTask(file)).rejects.toThrow(/^mine\.jsonl:1: .*\nmine\.jsonl:2: /);
  for (const name of await taskNames()) expect((await loadTask(name)).problems.length).toBeGreaterThan(0);
});
