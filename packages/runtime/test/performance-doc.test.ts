// The tables of docs/performance.md are those of the figures that lie beside it.
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { currentPlaces, withPlaces } from '../bench/places-report.ts';
import { currentFigures, DOCUMENT, withFigures } from '../bench/report.ts';

it('shows the figures of docs/figures (else run packages/runtime/bench/report.ts)', async () => {
  const document = await readFile(DOCUMENT, 'utf8');
  expect(document).toBe(withFigures(document, await currentFigures()));
});

it('shows memory, caches and load as measured (else run packages/runtime/bench/places-report.ts)', async () => {
  const document = await readFile(DOCUMENT, 'utf8');
  expect(document).toBe(withPlaces(document, await currentPlaces()));
});
