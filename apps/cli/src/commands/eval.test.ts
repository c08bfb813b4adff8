// `baton eval` and `baton annotate` as a person runs them: the real command, the demo models, a folder of their own.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import type { EvalReport } from '@baton/eval';
import { beforeAll, expect, test } from 'vitest';

import { annotateCommand } from './annotate.ts';
import { evalCommand } from './eval.ts';

const BATON = fileURLToPath(new URL('../../bin/baton.mjs', import.meta.url));

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

function baton(...words: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BATON, ...words], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

let dir: string;
let task: string;
let out: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'baton-cli-eval-'));
  task = path.join(dir, 'task.jsonl');
  out = path.join(dir, 'out');
  const questions = [
    'Ella has 12 boxes of pens. There are 3 pens in each of the boxes. Ella sells 4 pens. How many pens are left?',
    'Noah has 8 bags of marbles. There are 5 marbles in each of the bags. Noah loses 2 marbles. How many marbles are left?',
    'Mia has 7 trays of cookies. There are 6 cookies in each of the trays. Mia sells 9 cookies. How many cookies are left?',
  ];
  const rows = questions.map((question, i) => ({ id: `q${i}`, question, answer: ['32', '38', '33'][i] }));
  await writeFile(task, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});

const evaluate = (...more: string[]): Promise<Run> =>
  baton('eval', '--task', task, '--max-tokens', '160', '--out', out, ...more);
const ARMS = [
  '--policy',
  'small',
  '--policy',
  'large',
  '--policy',
  'random:0.4:8',
  '--policy',
  'random:matched',
];

test('four arms end in one sound report, and the same command again runs nothing', async () => {
  const first = await evaluate(...ARMS, '--json');
  expect(first.stderr).not.toMatch(/baton:/);
  expect(first.code).toBe(0);
  const report = JSON.parse(first.stdout) as EvalReport;
  expect(report.complete).toBe(true);
  expect(report.arms.map((arm) => [arm.arm, arm.runs])).toEqual([
    ['small', 3],
    ['large', 3],
    ['random:0.4:8', 3],
    ['random:matched', 3],
  ]);
  const [small, large, random] = report.arms;
  expect([small!.offload.pooled, large!.offload.pooled]).toEqual([0, 1]);
  expect(random!.offload.pooled).toBeGreaterThan(0);
  expect(report.arms.flatMap((arm) => arm.faulty.examples)).toEqual([]);
  expect(report.settings.small).toMatch(/^demo-small \(weights [0-9a-f]{16}\)$/);
  const traces = path.join(out, 'traces', 'large.jsonl');
  const before = await stat(traces);
  const again = await evaluate(...ARMS);
  expect(again.code).toBe(0);
  expect((await stat(traces)).mtimeMs).toBe(before.mtimeMs);
  expect(again.stdout).toMatch(/small +pass@1 .* offload ratio 0\.0 %, 3 runs/);
  expect(await readFile(path.join(out, 'report.md'), 'utf8')).toContain('| random:matched |');
});

test('a control is not taken for that of another policy', async () => {
  const other = await evaluate('--policy', 'random:0.6:8', '--policy', 'random:matched');
  expect(other.code).not.toBe(0);
  expect(other.stderr).toMatch(
    /random_matched\.jsonl holds runs of random:matched to random:0\.4:8, this call has random:matched to random:0\.6:8/,
  );
});

test('a model never disagrees with its own greedy trace; the other one is compared step by step', async () => {
  const input = path.join(out, 'traces', 'large.jsonl');
  const own = path.join(dir, 'own.jsonl');
  const itself = await baton(
    'annotate',
    input,
    '--out',
    own,
    '--disagreement',
    '--small',
    'demo-large',
    '--json',
  );
  expect(itself.code).toBe(0);
  expect(JSON.parse(itself.stdout)).toMatchObject({ annotated: 3, rejected: [], statistics: { spans: 0 } });
  const marked = path.join(dir, 'marked.jsonl');
  const forced = await baton('annotate', input, '--out', marked, '--disagreement');
  const pair = path.join(dir, 'pair.jsonl');
  const stepwise = await baton('annotate', input, '--out', pair, '--disagreement', '--large', 'demo-large');
  expect([forced.code, stepwise.code]).toEqual([0, 0]);
  const spansOf = async (file: string): Promise<unknown[]> =>
    (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { spans: unknown }).spans);
  // The trace is the large model's own greedy text, so it and the large model are one reference.
  expect(await spansOf(marked)).toEqual(await spansOf(pair));
});

test('runs that a dead endpoint cut short are told, and a policy without any other fails', async () => {
  const dead = ['--large', 'http://127.0.0.1:1/v1', '--max-tokens', '160', '--task', task];
  const refused = /an error cut 3 of 3 runs short \(the large model failed: .*refused.*\)/;
  const failed = await baton(
    'eval',
    ...dead,
    '--policy',
    'small',
    '--policy',
    'large',
    '--out',
    path.join(dir, 'dead'),
  );
  expect(failed.stderr.trim().split('\n').at(-1)).toMatch(
    new RegExp(`^baton: large: ${refused.source}; --retry-errors runs them again$`),
  );
  expect(failed.code).toBe(1);
  expect(failed.stdout).toContain('large            pass@1 0.0 %');
  expect(await readFile(path.join(dir, 'dead', 'report.md'), 'utf8')).toMatch(
    /- large: an error cut 3 of 3 runs short: the large model failed: /,
  );
  const some = await baton(
    'eval',
    ...dead,
    '--policy',
    'random:0.02:8',
    '--seed',
    '3',
    '--out',
    path.join(dir, 'some'),
  );
  const { errors } = (JSON.parse(await readFile(path.join(dir, 'some', 'report.json'), 'utf8')) as EvalReport)
    .arms[0]!;
  expect(some.stderr).toMatch(/^baton: random:0\.02:8: an error cut [12] of 3 runs short \(.*\)$/m);
  expect([some.code, errors.runs > 0 && errors.runs < 3]).toEqual([0, true]);
});

test('a failure is one clear line on stderr, nothing on stdout, and a non-zero exit', async () => {
  const { code, stderr, stdout } = await evaluate('--policy', 'small', '--seed', '2');
  expect(stderr).toMatch(/^baton: .* holds runs with seed = 1, this call has 2; .*\n$/);
  expect([code, stdout]).toEqual([1, '']);
});

test.each<[string, () => readonly string[], RegExp]>([
  ['an unknown policy', () => ['--task', task, '--policy', 'nope'], /unknown policy "nope"; known: small/],
  [
    'an unknown task',
    () => ['--task', 'nope', '--policy', 'small'],
    /no task named "nope"; known: arithmetic/,
  ],
  ['greedy samples', () => ['--task', task, '--policy', 'small', '--samples', '2'], /would all be the same/],
  [
    'a control arm with nothing to match',
    () => ['--task', task, '--policy', 'random:matched'],
    /random:matched has nothing to match/,
  ],
  ['a missing model', () => ['--task', task, '--policy', 'small', '--small', 'none'], /no model at none/],
])('baton eval refuses %s', async (_, words, message) => {
  const refused = path.join(dir, 'refused');
  const argv = [...words(), '--out', refused];
  await expect(evalCommand().parseAsync(argv, { from: 'user' })).rejects.toThrow(message);
  expect(existsSync(refused)).toBe(false);
});

test.each<[string, () => readonly string[], RegExp]>([
  ['no method', () => [task], /--annotator URL, or --disagreement/],
  ['rows without a trace', () => [task, '--disagreement'], /task\.jsonl:1: no reasoning text/],
  [
    'an empty key',
    () => [task, '--annotator', 'http://127.0.0.1:9/v1', '--api-key-env', 'BATON_NO_SUCH_KEY'],
    /BATON_NO_SUCH_KEY \(--api-key-env\) is empty/,
  ],
])('baton annotate refuses %s', async (_, words, message) => {
  const argv = [...words(), '--out', path.join(dir, 'refused.jsonl')];
  await expect(annotateCommand().parseAsync(argv, { from: 'user' })).rejects.toThrow(message);
});
