// Numbers as they appear in a report: fixed digits, an interval beside a share, times in the unit a person reads.

import type { Interval } from '../statistics/intervals.ts';

export function percent(share: number | null, digits = 1): string {
  return share === null ? '-' : `${(share * 100).toFixed(digits)} %`;
}

export function percentWithInterval(share: number, interval: Interval | null): string {
  return interval === null ? percent(share) : `${percent(share)} (${percentRange(interval)})`;
}

export function percentRange(interval: Interval): string {
  return `${(interval.low * 100).toFixed(1)} to ${(interval.high * 100).toFixed(1)}`;
}

/** A difference of shares, in percentage points, with its sign. */
export function points(difference: number): string {
  return `${difference < 0 ? '-' : '+'}${Math.abs(difference * 100).toFixed(1)}`;
}

export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '-';
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export function number(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined ? '-' : value.toFixed(digits);
}

export function pValue(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

/** A Markdown table; cells must not hold "|", which is escaped here. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
