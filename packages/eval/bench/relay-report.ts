// The relay's part of docs/performance.md out of the figures that `baton bench relay` wrote: `node
// packages/eval/bench/relay-report.ts` rewrites what stands between the document's markers and draws the plot.

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import * as Plot from '@observablehq/plot';
import { PROTOCOLS } from '@baton/split/bench';
import type { ContextHandOff, ProtocolFigures, ProtocolsAt, RelayBench } from '@baton/split/bench';
import { parseHTML } from 'linkedom';

const DOCS = new URL('../../../docs/', import.meta.url);
export const DOCUMENT = new URL('performance.md', DOCS);
export const FIGURES = new URL('figures/relay-bench.json', DOCS);
export const PLOT = new URL('figures/relay-wall-clock.svg', DOCS);

const START = '<!-- relay: start (packages/eval/bench/relay-report.ts) -->';
const END = '<!-- relay: end -->';

export type RelayFigures = RelayBench & {
  machine: { processor: string; cores: number; node: string; platform: string };
};

const ms = (value: number | null): string =>
  value === null ? '' : value < 20 ? value.toFixed(1) : value.toFixed(0);

const times = (value: number | undefined): string => (value === undefined ? '?' : `${value.toFixed(1)}x`);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Markdown of everything that was measured. Parts that were not are left out. */
export function relayFigures(bench: RelayFigures): string {
  const { machine, protocols, paced, contextHandOff, earlyHandOff, handBackAgreement } = bench;
  const parts = [
    `Node ${machine.node}, ${machine.platform}, ${machine.processor}, ${machine.cores} cores. ` +
      `${bench.small.id} (${bench.small.location}) and ${bench.large.id} (${bench.large.location}, in a process of its own). Times are in milliseconds.`,
    goals(bench),
  ];
  if (protocols) {
    const [first] = protocols[0]!.figures;
    const { rounds, readMs } = protocols[0]!;
    parts.push(
      `${first!.questions / rounds} held-out questions${rounds > 1 ? `, each answered ${rounds} times` : ''}, ${first!.spans} spans per protocol and round trip. ` +
        'Hand-off, decision, the step there and hand-back are medians; wall clock and ideal are means per question. ' +
        `The large model reads a character in ${readMs.toFixed(3)} ms where it has nothing else to do.`,
      protocolTable(protocols),
      '![Wall clock per question of each protocol beside the ideal](figures/relay-wall-clock.svg)',
    );
  }
  if (paced)
    parts.push(
      `The same, with the large model's tokens no faster than one in ${paced.paceMs} ms, as a model of real size writes them.`,
      protocolTable(paced.latencies),
    );
  if (contextHandOff)
    parts.push(
      'Hand-off at a long context: from the decision to the first large token, medians. *At most*: as soon as the same hand-off where ' +
        'the cache holds all of the text, which is the round trip and one pass.',
      table(
        [
          'large model',
          'round trip',
          'context, tokens',
          'serial prefill',
          'keep-warm requests',
          'streaming prefill',
          'sooner',
          'at most',
          'sooner, without the round trip',
          'in the cache',
          'warm-ups',
          'last piece to read',
          'small tokens in it',
          'a small token',
        ],
        contextHandOff.map((c) => [
          c.large,
          String(c.latencyMs),
          String(c.contextTokens),
          ms(c.serialMs),
          ms(c.keepWarmMs),
          ms(c.pipelinedMs),
          `${c.sooner.toFixed(1)}x`,
          times(c.ceiling),
          `${c.soonerWithoutRoundTrip.toFixed(1)}x`,
          `${c.cachedPipelined ?? '?'}`,
          String(c.warmUpRequests),
          ms(c.readMs),
          String(c.readTokens ?? '?'),
          ms(c.smallTokenMs),
        ]),
      ),
    );
  if (earlyHandOff)
    parts.push(
      `Speculative hand-off: the words "${earlyHandOff[0]!.tag}" stand in for a tag of ${earlyHandOff[0]!.tagTokens} tokens. From the complete tag to the first large token, medians.`,
      table(
        ['round trip', 'sent when complete', 'sent at the first token', 'sent early', 'of those dropped'],
        earlyHandOff.map((e) => [
          String(e.latencyMs),
          ms(e.waitedMs),
          ms(e.earlyMs),
          String(e.sent),
          String(e.dropped),
        ]),
      ),
    );
  if (handBackAgreement)
    parts.push(
      `Hand-back decisions against exhaustive probing, ${handBackAgreement.questions} held-out questions: ` +
        `${handBackAgreement.equal} of ${handBackAgreement.spans} spans end at the same character (${percent(handBackAgreement.share)}).`,
    );
  return parts.join('\n\n');
}

function protocolTable(protocols: readonly ProtocolsAt[]): string {
  return table(
    [
      'round trip',
      'protocol',
      'hand-off',
      'decision',
      'a step there',
      'hand-back',
      'wall clock',
      'ideal',
      'of the ideal',
      'of one that reads in no time',
      'large tokens thrown away',
      'small tokens probed',
    ],
    protocols.flatMap(({ latencyMs, figures }) =>
      figures.map((f) => [
        String(latencyMs),
        f.protocol,
        ms(f.handOffMs),
        ms(f.decisionMs),
        ms(f.stepThereMs ?? null),
        ms(f.handBackMs),
        ms(f.wallClockMs),
        ms(f.idealMs),
        f.overIdeal.toFixed(2),
        f.overInstant.toFixed(2),
        `${f.discardedTokens} (${(100 * f.discardedShare).toFixed(0)} %)`,
        String(f.probeTokens),
      ]),
    ),
  );
}

/** What was aimed at, and what came of it. */
function goals({ protocols, paced, contextHandOff, handBackAgreement }: RelayFigures): string {
  const rows: string[][] = [];
  const verdict = (met: boolean): string => (met ? 'met' : 'missed');
  const both = [
    { name: 'demo pair', list: protocols ?? [] },
    { name: `large tokens at ${paced?.paceMs ?? 0} ms`, list: paced?.latencies ?? [] },
  ].filter(({ list }) => list.length > 0);
  let probed = 0;
  for (const { name, list } of both) {
    const pipelined = list.map(({ latencyMs, figures }) => ({ latencyMs, f: piece(figures, 'pipelined') }));
    const share = pipelined.map(
      ({ latencyMs, f }) => `${over(f.overIdeal)} (${over(f.overInstant)}) at ${latencyMs} ms`,
    );
    probed += pipelined.reduce((sum, { f }) => sum + f.probeTokens, 0);
    rows.push([
      `pipelined within 10 % of the ideal (${name}; in brackets against one whose large model reads in no time)`,
      share.join(', '),
      verdict(pipelined.every(({ f }) => f.overIdeal <= 1.1)),
    ]);
    const there = ({ stepThereMs: step }: ProtocolFigures): string => (step === undefined ? '?' : ms(step));
    rows.push([
      `decision within one decode step of the deciding token (${name}; medians, against a step while the small model writes, in brackets the one that follows the decision)`,
      pipelined
        .map(
          ({ latencyMs, f }) =>
            `${ms(f.decisionMs)} against ${ms(f.smallTokenMs)} (${there(f)}) at ${latencyMs} ms`,
        )
        .join(', '),
      verdict(pipelined.every(({ f }) => (f.decisionMs ?? Infinity) <= (f.smallTokenMs ?? 0))),
    ]);
  }
  if (both.length > 0)
    rows.push(['no small-model token decoded to probe', String(probed), verdict(probed === 0)]);
  const byModel = Map.groupBy(contextHandOff ?? [], (c: ContextHandOff) => c.large);
  for (const [model, list] of byModel)
    rows.push(
      [
        `hand-off at a long context 5x sooner, or four fifths of what the round trip allows where that is less (${model})`,
        list.map((c) => `${times(c.sooner)} of at most ${times(c.ceiling)} at ${c.latencyMs} ms`).join(', '),
        verdict(list.every((c) => c.sooner >= Math.min(5, 0.8 * (c.ceiling ?? Infinity)))),
      ],
      [
        `large text read within one decode step per token of its arrival (${list[0]!.small} reads ${model})`,
        list
          .map(
            (c) =>
              `${ms(c.readMs)} for ${c.readTokens ?? 1} at ${ms(c.smallTokenMs)} each, at ${c.latencyMs} ms`,
          )
          .join('; '),
        verdict(list.every((c) => c.readMs <= c.smallTokenMs * (c.readTokens ?? 1))),
      ],
    );
  if (handBackAgreement)
    rows.push([
      'hand-back as exhaustive probing in 95 % of spans',
      percent(handBackAgreement.share),
      verdict((handBackAgreement.share ?? 0) >= 0.95),
    ]);
  return table(['goal', 'measured', ''], rows);
}

const over = (ratio: number): string => `${((ratio - 1) * 100).toFixed(1)} %`;

function piece(figures: readonly ProtocolFigures[], protocol: ProtocolFigures['protocol']): ProtocolFigures {
  return figures.find((f) => f.protocol === protocol)!;
}

function percent(share: number | null): string {
  return share === null ? 'none measured' : `${(100 * share).toFixed(1)} %`;
}

/** Bars of wall clock per question, with the ideal of the pipelined traces as a line. */
export function relayPlot({ protocols = [] }: RelayFigures): string {
  const bars = protocols.flatMap(({ latencyMs, figures }) =>
    figures.map((f) => ({
      latency: `${latencyMs} ms`,
      protocol: f.protocol,
      ms: f.wallClockMs,
      ideal: f.idealMs,
    })),
  );
  const { document } = parseHTML('<html></html>') as unknown as { document: Document };
  const figure = Plot.plot({
    width: 640,
    height: 320,
    marginLeft: 56,
    marginBottom: 48,
    fx: { label: 'added round trip', domain: [...new Set(bars.map((b) => b.latency))] },
    x: { axis: null, domain: Object.keys(PROTOCOLS) },
    y: { label: 'ms per question (line: its ideal)', grid: true },
    color: { legend: false, domain: Object.keys(PROTOCOLS), scheme: 'observable10' },
    marks: [
      Plot.barY(bars, { fx: 'latency', x: 'protocol', y: 'ms', fill: 'protocol' }),
      Plot.tickY(bars, { fx: 'latency', x: 'protocol', y: 'ideal', stroke: '#222', strokeWidth: 2 }),
      Plot.text(bars, {
        fx: 'latency',
        x: 'protocol',
        y: 'ms',
        text: (b: { ms: number }) => b.ms.toFixed(0),
        dy: -6,
      }),
      Plot.text(bars, {
        fx: 'latency',
        x: 'protocol',
        y: 0,
        text: 'protocol',
        dy: 10,
        fontSize: 9,
      }),
    ],
    document,
  });
  figure.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  figure.setAttribute('style', 'background: white; color: #222');
  return `${figure.outerHTML}\n`;
}

/** The document with the relay's part replaced. Throws if a marker is missing. */
export function withRelay(document: string, text: string): string {
  const [start, end] = [document.indexOf(START), document.indexOf(END)];
  if (start < 0 || end < start) throw new Error('docs/performance.md: the relay markers are missing');
  return `${document.slice(0, start + START.length)}\n\n${text}\n\n${document.slice(end)}`;
}

export async function currentRelay(): Promise<RelayFigures> {
  return JSON.parse(await readFile(FIGURES, 'utf8')) as RelayFigures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bench = await currentRelay();
  await writeFile(DOCUMENT, withRelay(await readFile(DOCUMENT, 'utf8'), relayFigures(bench)));
  await writeFile(PLOT, relayPlot(bench));
}
