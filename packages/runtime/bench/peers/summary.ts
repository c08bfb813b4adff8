// What a comparison says: a table of all figures, and for every peer how long it takes beside the best of Baton's own at
// equal or fewer bits per weight.
import { table } from '../markdown.ts';
import type { Timing } from '../statistics.ts';
import type { Comparison, PeerFigures } from './compare.ts';

export interface Ratio {
  /** Baton's fastest at equal or fewer bits (by the median), and the peer's times over its times. */
  best: string;
  median: number;
  least: number;
}

export interface PeerRatios {
  id: string;
  bitsPerWeight: number;
  /** Tokens of context -> ratio. */
  decode: Record<number, Ratio>;
  prefill: Ratio;
}

/** For every peer: its times over those of Baton's best at equal or fewer bits. Above 1 Baton is faster. */
export function ratios({ figures }: Comparison): PeerRatios[] {
  const own = figures.filter((f) => f.runtime === 'baton');
  return figures
    .filter((f) => f.runtime !== 'baton')
    .map((peer) => {
      const rivals = own.filter((f) => f.bitsPerWeight <= peer.bitsPerWeight);
      const against = (of: (f: PeerFigures) => Timing): Ratio => {
        const best = rivals.reduce<PeerFigures | undefined>(
          (a, b) => (a === undefined || of(b).median < of(a).median ? b : a),
          undefined,
        );
        const [theirs, ours] = [of(peer), best && of(best)];
        return ours
          ? { best: best!.id, median: theirs.median / ours.median, least: theirs.min / ours.min }
          : { best: '', median: 0, least: 0 };
      };
      const decode = Object.keys(peer.decode).map(
        (context) => [Number(context), against((f) => f.decode[Number(context)]!)] as const,
      );
      return {
        id: peer.id,
        bitsPerWeight: peer.bitsPerWeight,
        decode: Object.fromEntries(decode),
        prefill: against((f) => f.prefill),
      };
    });
}

/** Least time of a decode step: the bytes of the weights at the rate that memory was read with in the same run. */
export function floorMs({ graphWeights, read }: Comparison, bitsPerWeight: number): number {
  return (graphWeights * bitsPerWeight) / 8 / (read.bytes / read.min);
}

/** How much longer the longest context takes than the shortest. */
export function growth({ decode }: PeerFigures): number {
  const contexts = Object.keys(decode).map(Number);
  return decode[Math.max(...contexts)]!.median / decode[Math.min(...contexts)]!.median - 1;
}

const time = ({ min, median }: Timing): string => `${median.toFixed(1)} (${min.toFixed(1)})`;

/** Name of a comparison's files. */
export function nameOf({ shape, place, widths }: Comparison): string {
  return `peers-${shape}-${place}-${widths}`;
}

/** The comparison under a heading, with its plots, whose files lie in `folder`. */
export function section(comparison: Comparison, folder = ''): string {
  const { shape, place, widths } = comparison;
  const plots = ['decode', 'prefill'].map(
    (what) => `![${what} times of the table above](${folder}${nameOf(comparison)}-${what}.svg)`,
  );
  return [
    `### ${place === 'node' ? 'Node' : 'Browser'}, shape ${shape}, ${widths} weights`,
    summary(comparison),
    ...plots,
  ].join('\n\n');
}

/** The comparison in Markdown: one line on where, the figures, the ratios, what was left out. */
export function summary(comparison: Comparison): string {
  const { figures, shape, graphWeights, host, machine, read, threads, prefillAt, skipped } = comparison;
  const contexts = Object.keys(figures[0]!.decode).map(Number);
  const decodes = contexts.map((c) => `decode at ${c}`);
  const rows = figures.map((f) => [
    f.runtime === 'baton' ? `**Baton** ${f.target}` : f.runtime,
    f.weights,
    String(f.bitsPerWeight),
    ...contexts.map((c) => time(f.decode[c]!)),
    `${(growth(f) * 100).toFixed(0)} %`,
    (f.decode[contexts[0]!]!.median / floorMs(comparison, f.bitsPerWeight)).toFixed(1),
    time(f.prefill),
    (f.loadMs / 1000).toFixed(2),
    f.peakBytes === undefined ? '' : (f.peakBytes / 1e6).toFixed(0),
  ]);
  const ratioRows = ratios(comparison).map((r) => [
    r.id,
    String(r.bitsPerWeight),
    ...contexts.map((c) => cell(r.decode[c]!)),
    cell(r.prefill),
  ]);
  return [
    `Shape ${shape}, ${(graphWeights / 1e6).toFixed(1)} M weights in the graph; ${host}, ${machine.platform}, ` +
      `${machine.processor}, ${machine.cores} cores, ${threads} threads each; memory read at ${read.gigabytesPerSecond} GB/s.`,
    table(
      [
        'runtime',
        'weights',
        'bits per weight',
        ...decodes,
        'growth',
        `× floor at ${contexts[0]}`,
        `prefill at ${prefillAt}`,
        'load s',
        'peak MB',
      ],
      rows,
    ),
    'Times of the others over the best of Baton at equal or fewer bits: of medians, and of least times in brackets. Above 1 ' +
      'Baton is faster.',
    table(['runtime', 'bits per weight', ...decodes, 'prefill'], ratioRows),
    ...skipped.map(({ id, reason }) => `Left out: ${id}: ${reason}.`),
  ].join('\n\n');
}

function cell({ best, median, least }: Ratio): string {
  return best === '' ? '' : `${median.toFixed(2)} (${least.toFixed(2)}), ${best.replace('baton ', '')}`;
}
