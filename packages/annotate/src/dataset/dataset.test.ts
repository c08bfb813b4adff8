import { expect, test } from 'vitest';
import { parseRows } from './reasoning-row.ts';
import { toSftRow } from './sft.ts';
import { datasetStatistics } from './statistics.ts';

test('the common layouts are read, each malformed line has its own error', () => {
  const lines = [
    { id: 'a', question: 'q', trace: 't' },
    { uuid: 'b', problem: 'p', solution: 's' },
    {
      id: 3,
      messages: [
        { role: 'user', content: 'u' },
        { role: 'assistant', content: 'v' },
      ],
    },
    { id: 'a', sample: 2, trace: { schema: 'baton.trace/1', question: 'q', text: 'relay', prompt: 'P' } },
  ];
  expect(parseRows(lines.map((line) => JSON.stringify(line)).join('\n'), 'x').rows).toEqual([
    { id: 'a', question: 'q', text: 't', prompt: null },
    { id: 'b', question: 'p', text: 's', prompt: null },
    { id: '3', question: 'u', text: 'v', prompt: null },
    { id: 'a#2', question: 'q', text: 'relay', prompt: 'P' },
  ]);
  const bad = [
    '{',
    '[]',
    '{"question":"q","trace":"t"}',
    '{"id":"a","trace":"t"}',
    '{"id":"a","question":"q"}',
    '{"id":"z","question":"q","trace":"t"}',
    '{"id":"z","question":"q","trace":"t"}',
  ];
  const { rows, errors } = parseRows(bad.join('\n'), 'bad.jsonl');
  expect(rows).toHaveLength(1);
  expect(errors.map((error) => error.split(': ')[0])).toEqual(
    [1, 2, 3, 4, 5, 7].map((n) => `bad.jsonl:${n}`),
  );
  expect(errors.at(-1)).toMatch(/already used on line 6/);
});

test('a training row holds the tagged text; a row that does not strip back is refused with its reason', () => {
  const spans = [{ start: 2, end: 4 }];
  expect(toSftRow({ id: 'a', question: 'q', text: 'abcdef', spans })).toEqual({
    id: 'a',
    messages: [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'ab<bigmodel>cd</bigmodel>ef' },
    ],
  });
  expect(toSftRow({ id: 'a', question: 'q', text: 'a</bigmodel>', spans: [] })).toMatch(
    /source itself holds/,
  );
  // Spans out of order would repeat text.
  expect(
    toSftRow({
      id: 'a',
      question: 'q',
      text: 'abcdef',
      spans: [
        { start: 3, end: 5 },
        { start: 0, end: 2 },
      ],
    }),
  ).toMatch(/does not restore/);
});

test('statistics: coverage by characters and tokens, spans per row, positions that sum to the coverage', async () => {
  const rows = [
    {
      text: 'x'.repeat(100),
      spans: [
        { start: 0, end: 10 },
        { start: 50, end: 60 },
      ],
    },
    { text: 'y'.repeat(50), spans: [] },
  ];
  const statistics = await datasetStatistics(rows, async (text) => Math.ceil(text.length / 5));
  expect(statistics).toMatchObject({
    rows: 2,
    rowsWithoutSpan: 1,
    spans: 2,
    spansPerRow: { mean: 1, min: 0, max: 2 },
    charactersPerSpan: { mean: 10 },
    characterCoverage: { mean: 0.1, max: 0.2, min: 0 },
    tokens: { perSpan: { mean: 2 }, coverage: { max: 0.2 } },
  });
  expect(statistics.pooledCharacterCoverage).toBeCloseTo(20 / 150);
  expect(statistics.tokens!.pooledCoverage).toBeCloseTo(4 / 30);
  const bins = statistics.positionHistogram;
  expect(bins.reduce((a, b) => a + b, 0) / bins.length).toBeCloseTo(0.1);
  expect(bins[0]).toBeCloseTo(0.5);
  expect(bins.at(-1)).toBe(0);
});

test('a set without rows or without spans has statistics too', async () => {
  expect(await datasetStatistics([])).toMatchObject({
    rows: 0,
    spansPerRow: null,
    pooledCharacterCoverage: 0,
    tokens: null,
  });
  expect(await datasetStatistics([{ text: '', spans: [] }])).toMatchObject({
    rows: 1,
    charactersPerSpan: null,
  });
});
