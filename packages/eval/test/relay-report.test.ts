// The relay's part of docs/performance.md is what its figures say.

import { readFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { DOCUMENT, PLOT, currentRelay, relayFigures, relayPlot, withRelay } from '../bench/relay-report.ts';

test('the document and the plot hold the figures of docs/figures/relay-bench.json', async () => {
  const bench = await currentRelay();
  expect(bench.schema).toBe('baton.bench.relay/4');
  for (const part of ['protocols', 'paced', 'earlyHandOff', 'handBackAgreement'] as const)
    expect(bench[part], part).toBeDefined();
  const document = await readFile(DOCUMENT, 'utf8');
  expect(withRelay(document, relayFigures(bench))).toBe(document);
  expect(await readFile(PLOT, 'utf8')).toBe(relayPlot(bench));
});
