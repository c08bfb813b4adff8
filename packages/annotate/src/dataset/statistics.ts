// What an annotated data set looks like: how many spans, how much of the text they cover, where in the text they lie.
// Everything is computed from offsets, never by searching for tags, so no spelling of a tag can spoil it.

import { mean, median, quantile } from '@baton/eval/statistics';

import type { AnnotatedRow } from '../annotated-row.ts';
import { characterCoverage } from '../spans.ts';

export interface Distribution {
  mean: number;
  median: number;
  p10: number;
  p90: number;
  min: number;
  max: number;
}

export interface DatasetStatistics {
  schema: 'baton.annotation-statistics/1';
  rows: number;
  rowsWithoutSpan: number;
  spans: number;
  spansPerRow: Distribution | null;
  charactersPerRow: Distribution | null;
  charactersPerSpan: Distribution | null;
  /** Share of a row's characters inside spans. */
  characterCoverage: Distribution | null;
  /** Characters inside spans over all characters of all rows. */
  pooledCharacterCoverage: number;
  /** The same in tokens; null where no tokenizer was given. */
  tokens: {
    perRow: Distribution;
    perSpan: Distribution | null;
    coverage: Distribution;
    pooledCoverage: number;
  } | null;
  /** Mean over rows of the covered share of each of 50 equal stretches of the text, from its start to its end. */
  positionHistogram: number[];
}

const BINS = 50;

/** Tokens of a text on its own. */
export type CountTokens = (text: string) => Promise<number>;

export async function datasetStatistics(
  rows: readonly Pick<AnnotatedRow, 'text' | 'spans'>[],
  countTokens?: CountTokens,
): Promise<DatasetStatistics> {
  const spans = rows.flatMap((row) => row.spans);
  const inside = spans.reduce((sum, span) => sum + span.end - span.start, 0);
  const all = rows.reduce((sum, row) => sum + row.text.length, 0);
  return {
    schema: 'baton.annotation-statistics/1',
    rows: rows.length,
    rowsWithoutSpan: rows.filter((row) => row.spans.length === 0).length,
    spans: spans.length,
    spansPerRow: distribution(rows.map((row) => row.spans.length)),
    charactersPerRow: distribution(rows.map((row) => row.text.length)),
    charactersPerSpan: distribution(spans.map((span) => span.end - span.start)),
    characterCoverage: distribution(rows.map((row) => characterCoverage(row.text, row.spans))),
    pooledCharacterCoverage: all === 0 ? 0 : inside / all,
    tokens: countTokens && rows.length > 0 ? await tokenStatistics(rows, countTokens) : null,
    positionHistogram: positionHistogram(rows),
  };
}

async function tokenStatistics(
  rows: readonly Pick<AnnotatedRow, 'text' | 'spans'>[],
  countTokens: CountTokens,
): Promise<NonNullable<DatasetStatistics['tokens']>> {
  const perRow: number[] = [];
  const perSpan: number[] = [];
  const coverage: number[] = [];
  let insideAll = 0;
  for (const { text, spans } of rows) {
    // Counted piece by piece, so that a token across an edge cannot make the parts exceed the whole.
    let inside = 0;
    let outside = 0;
    let at = 0;
    for (const { start, end } of spans) {
      const tokens = await countTokens(text.slice(start, end));
      outside += await countTokens(text.slice(at, start));
      perSpan.push(tokens);
      inside += tokens;
      at = end;
    }
    outside += await countTokens(text.slice(at));
    perRow.push(inside + outside);
    coverage.push(inside + outside === 0 ? 0 : inside / (inside + outside));
    insideAll += inside;
  }
  const all = perRow.reduce((sum, tokens) => sum + tokens, 0);
  return {
    perRow: distribution(perRow)!,
    perSpan: distribution(perSpan),
    coverage: distribution(coverage)!,
    pooledCoverage: all === 0 ? 0 : insideAll / all,
  };
}

function positionHistogram(rows: readonly Pick<AnnotatedRow, 'text' | 'spans'>[]): number[] {
  const bins: number[] = Array.from({ length: BINS }, () => 0);
  const counted = rows.filter((row) => row.text.length > 0);
  for (const { text, spans } of counted) {
    const width = text.length / BINS;
    for (const { start, end } of spans) {
      for (let bin = Math.floor(start / width); bin < BINS && bin * width < end; bin++) {
        const overlap = Math.min(end, (bin + 1) * width) - Math.max(start, bin * width);
        bins[bin]! += Math.max(0, overlap) / width;
      }
    }
  }
  return bins.map((covered) => (counted.length === 0 ? 0 : covered / counted.length));
}

function distribution(values: readonly number[]): Distribution | null {
  if (values.length === 0) return null;
  const [p10, p90, min, max] = [0.1, 0.9, 0, 1].map((q) => quantile(values, q)!) as [
    number,
    number,
    number,
    number,
  ];
  return { mean: mean(values)!, median: median(values)!, p10, p90, min, max };
}
