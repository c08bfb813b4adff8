// Tables of docs/performance.md out of the figures that the benchmarks wrote: `node packages/runtime/bench/report.ts`
// rewrites what stands between the document's markers; report.test.ts holds the two together.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import type { BrowserBench } from './browser/job.ts';
import { table } from './markdown.ts';
import type { Speeds } from './measure.ts';
import { readComparisons, section, type Comparison } from './peers/index.ts';
import type { Timing } from './statistics.ts';

const DOCS = new URL('../../../docs/', import.meta.url);
export const DOCUMENT = new URL('performance.md', DOCS);
export const NODE_FIGURES = new URL('figures/bench-node.json', DOCS);
export const FIGURES = new URL('figures/', DOCS);
export const BROWSER_FIGURES = new URL('figures/bench-browser.json', DOCS);

const START = '<!-- figures: start (packages/runtime/bench/report.ts) -->';
const END = '<!-- figures: end -->';

const time = ({ min, median }: Timing): string => `${median.toFixed(1)} (${min.toFixed(1)})`;

function speedCells({ decode, prefill, read }: Speeds): string[] {
  const byContext = Object.entries(decode).sort(([a], [b]) => Number(a) - Number(b));
  return [...byContext.map(([, t]) => time(t)), time(prefill), read ? time(read) : ''];
}

/** Markdown of all tables. */
export function figures(node: Bench, browser: BrowserBench, peers: readonly Comparison[]): string {
  const contexts = Object.keys(node.models[0]!.targets[0]!.decode).map((c) => `decode at ${c}`);
  const timed = [...contexts, 'prefill', 'reading the weights'];
  const nodeRows = node.models.flatMap((m) =>
    m.targets.map((t) => [
      m.weights,
      t.target,
      String(t.bitsPerWeight ?? m.bitsPerWeight),
      ...speedCells(t),
      (t.loadMs / 1000).toFixed(2),
      (t.peakBytes / 1e6).toFixed(0),
    ]),
  );
  const browserRows = browser.figures.map(({ weights, kernels, figures: f }) => [
    weights,
    kernels ?? '',
    f.isolated ? 'yes' : 'no',
    String(f.threads),
    ...speedCells(f),
    (f.loadMs / 1000).toFixed(2),
  ]);
  const compiled = node.models
    .filter((m) => m.compile)
    .map((m) => [m.weights, (m.compile!.ms / 1000).toFixed(1), m.compile!.megabytesPerSecond.toFixed(0)]);
  const { machine, readBandwidth } = node;
  return [
    `Node ${machine.node}, ${machine.platform}, ${machine.processor}, ${machine.cores} cores; fastest reading of weights ` +
      `${readBandwidth?.gigabytesPerSecond ?? '?'} GB/s. Shape ${node.models[0]!.model}, ` +
      `${(node.models[0]!.graphWeights / 1e6).toFixed(1)} M weights in the graphs.`,
    table(['weights', 'target', 'bits per weight', ...timed, 'load s', 'peak MB'], nodeRows),
    `${browser.browser}, the same shape, target wasm-simd.`,
    table(['weights', 'SIMD', 'isolated', 'threads', ...timed, 'load s'], browserRows),
    ...peers.map((comparison) => section(comparison, 'figures/')),
    'Compiling that checkpoint (bf16, read from disk).',
    table(['weights', 's', 'MB of source per s'], compiled),
  ].join('\n\n');
}

/** The document with its tables replaced. Throws if a marker is missing. */
export function withFigures(document: string, tables: string): string {
  const [start, end] = [document.indexOf(START), document.indexOf(END)];
  if (start < 0 || end < start) throw new Error('docs/performance.md: the figures markers are missing');
  return `${document.slice(0, start + START.length)}\n\n${tables}\n\n${document.slice(end)}`;
}

export async function currentFigures(): Promise<string> {
  const [node, browser] = await Promise.all(
    [NODE_FIGURES, BROWSER_FIGURES].map(async (url) => JSON.parse(await readFile(url, 'utf8')) as unknown),
  );
  const peers = await readComparisons(fileURLToPath(FIGURES));
  return figures(node as Bench, browser as BrowserBench, peers);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(DOCUMENT, withFigures(await readFile(DOCUMENT, 'utf8'), await currentFigures()));
}
