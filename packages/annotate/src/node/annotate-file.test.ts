import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtemp, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { expect, test } from 'vitest';
import type { Annotate } from '../annotated-row.ts';
import { AnnotateError } from '../annotate-error.ts';
import { stripTags } from '../spans.ts';
import { annotateFile } from './annotate-file.ts';
import type { AnnotateFileOptions } from './annotate-file.ts';

const rows = Array.from({ length: 12 }, (_, i) => ({
  id: `r${i}`,
  question: `q${i}`,
  trace: `start ${i} hard ${i} end`,
}));

/** Marks the word "hard" with its number; later rows answer sooner, so that completion order is the reverse of input order. */
function marker(seen: string[]): Annotate {
  return async (row) => {
    seen.push(row.id);
    await sleep(30 - 2 * Number(row.id.slice(1)));
    const start = row.text.indexOf('hard');
    return { spans: [{ start, end: row.text.indexOf(' end') }], calls: 1, notes: [row.id] };
  };
}

async function setUp(
  more: Partial<AnnotateFileOptions> = {},
  input: readonly object[] = rows,
): Promise<AnnotateFileOptions> {
  const dir = await mkdtemp(join(tmpdir(), 'baton-annotate-'));
  const path = join(dir, 'in.jsonl');
  await writeFile(path, input.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return {
    input: path,
    out: join(dir, 'out.jsonl'),
    method: 'test',
    annotate: marker([]),
    concurrency: 6,
    ...more,
  };
}

const readRows = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('results belong to their own row whatever order they come in, and the files have the input order', async () => {
  const options = await setUp();
  const result = await annotateFile(options);
  expect(result).toMatchObject({ annotated: 12, reused: 0, rejected: [], missing: 0 });
  const annotated = await readRows(result.files.annotated);
  expect(annotated.map((row) => row['id'])).toEqual(rows.map((row) => row.id));
  for (const row of annotated) expect(row['notes']).toEqual([row['id']]);
  const training = await readRows(result.files.sft);
  for (const [i, row] of training.entries()) {
    const [user, assistant] = row['messages'] as [{ content: string }, { content: string }];
    expect(user.content).toBe(`q${i}`);
    expect(assistant.content).toBe(`start ${i} <bigmodel>hard ${i}</bigmodel> end`);
    expect(Buffer.from(stripTags(assistant.content))).toEqual(Buffer.from(rows[i]!.trace));
  }
  const statistics = JSON.parse(await readFile(result.files.statistics, 'utf8')) as object;
  expect(statistics).toEqual(result.statistics);
  expect((await readdir(join(options.out, '..'))).sort()).toEqual(
    ['in.jsonl', 'out.jsonl', 'out.rejected.jsonl', 'out.sft.jsonl', 'out.stats.json'].sort(),
  );
});

test('a stopped run goes on where it stopped; a changed trace or another method is annotated again', async () => {
  const seen: string[] = [];
  const stop = new AbortController();
  const options = await setUp({ concurrency: 1 });
  const stopping: Annotate = async (row, signal) => {
    if (row.id === 'r4') stop.abort();
    signal.throwIfAborted();
    return marker(seen)(row, signal);
  };
  const first = await annotateFile({ ...options, annotate: stopping, signal: stop.signal });
  expect(first).toMatchObject({ annotated: 4, missing: 8, rejected: [] });
  const second = await annotateFile({ ...options, annotate: marker(seen) });
  expect(second).toMatchObject({ annotated: 12, reused: 4 });
  expect(seen).toEqual(rows.map((row) => row.id));
  const changed = rows.map((row) => (row.id === 'r2' ? { ...row, trace: 'now a hard one end' } : row));
  await writeFile(options.input, changed.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const again: string[] = [];
  expect(await annotateFile({ ...options, annotate: marker(again) })).toMatchObject({
    annotated: 12,
    reused: 11,
  });
  expect(again).toEqual(['r2']);
  await annotateFile({ ...options, annotate: marker(again), method: 'other' });
  expect(again).toHaveLength(13);
  expect(await readRows(options.out)).toHaveLength(12);
});

test('a stopped run by another method leaves no row of the first in the training file', async () => {
  const options = await setUp({ concurrency: 1 });
  await annotateFile(options);
  const stop = new AbortController();
  const stopping: Annotate = async (row, signal) => {
    if (row.id === 'r4') stop.abort();
    signal.throwIfAborted();
    return { spans: [], calls: 1, notes: [] };
  };
  const other = { ...options, method: 'other', annotate: stopping, signal: stop.signal };
  const result = await annotateFile(other);
  expect(result).toMatchObject({ annotated: 4, missing: 8, statistics: { rows: 4, spans: 0 } });
  expect((await readRows(result.files.sft)).map((row) => row['id'])).toEqual(['r0', 'r1', 'r2', 'r3']);
});

test('a row that fails is reported with its reason and tried again next time, the others are kept', async () => {
  const failing: Annotate = async (row, signal) => {
    if (row.id === 'r3') throw new AnnotateError('no annotation after 3 attempts: refused\nstack');
    return marker([])(row, signal);
  };
  const options = await setUp({ annotate: failing });
  const first = await annotateFile(options);
  expect(first.rejected).toEqual([{ id: 'r3', reason: 'no annotation after 3 attempts: refused' }]);
  expect(await readRows(first.files.rejected)).toEqual(first.rejected);
  expect(await readRows(first.files.sft)).toHaveLength(11);
  const seen: string[] = [];
  const second = await annotateFile({ ...options, annotate: marker(seen) });
  expect(seen).toEqual(['r3']);
  expect(second).toMatchObject({ annotated: 12, rejected: [] });
  expect(await readRows(second.files.rejected)).toEqual([]);
});

test('a source that already holds a tag is refused before a model is asked', async () => {
  const seen: string[] = [];
  const held = { id: 'tagged', question: 'q', trace: 'a <bigmodel>hard</bigmodel> end' };
  const result = await annotateFile(await setUp({ annotate: marker(seen) }, [held, rows[0]!]));
  expect(result.rejected).toEqual([
    { id: 'tagged', reason: expect.stringContaining('source itself holds <bigmodel>') },
  ]);
  expect(seen).toEqual(['r0']);
});

test('a trace without any span is a row too: it teaches when not to hand off', async () => {
  const none: Annotate = async () => ({ spans: [], calls: 1, notes: [] });
  const result = await annotateFile(await setUp({ annotate: none }));
  expect(result).toMatchObject({
    annotated: 12,
    statistics: { rowsWithoutSpan: 12, pooledCharacterCoverage: 0 },
  });
});

test.each<[string, (options: AnnotateFileOptions) => Promise<void>, RegExp]>([
  ['a missing file', async (options) => void (options.input += 'x'), /no such file/],
  ['an empty file', (options) => writeFile(options.input, '\n'), /no traces; expected lines/],
  [
    'malformed lines',
    (options) => writeFile(options.input, '{"id":1}\n{'),
    /^in\.jsonl:1: no question.*\nin\.jsonl:2: not JSON/,
  ],
  [
    'a foreign output',
    (options) => writeFile(options.out, '{"id":1}\n'),
    /out\.jsonl:1: not an annotated row/,
  ],
])('refuses %s', async (_, damage, message) => {
  const options = await setUp();
  await damage(options);
  await expect(annotateFile(options)).rejects.toThrow(message);
});

test.each(['out.jsonl', 'out.sft.jsonl', 'out.stats.json', 'out.rejected.jsonl'])(
  'an input that one of the outputs would replace is left alone: %s',
  async (name) => {
    const options = await setUp();
    const input = join(dirname(options.input), name);
    await rename(options.input, input);
    const before = await readFile(input, 'utf8');
    await expect(annotateFile({ ...options, input })).rejects.toThrow(/would be written over the input/);
    expect(await readFile(input, 'utf8')).toBe(before);
    expect(await readdir(dirname(input))).toEqual([name]);
  },
);
