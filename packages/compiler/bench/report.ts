// The compiler's tables in docs/performance.md, from the result files beside it: `npx node packages/compiler/bench/report.ts`
// rewrites what stands between their markers.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BenchCompile } from './bench-compile.ts';
import type { CompileParts } from './parts.ts';

const DOCS = path.join(import.meta.dirname, '../../../docs');
export const DOCUMENT = path.join(DOCS, 'performance.md');
const START = '<!-- compiler figures: start (packages/compiler/bench/report.ts) -->';
const END = '<!-- compiler figures: end -->';

interface Accuracy {
  fixture: string;
  form: string;
  middle: number;
  worst: number;
}

interface BrowserBench {
  shape: string;
  weights: string;
  sourceBytes: number;
  rounds: {
    target: string;
    compileSeconds: number;
    openSeconds: number;
    megabytesPerSecond: number;
    peakBytes: number | null;
    browserPeakBytes: number | null;
    processorSeconds: Record<string, number>;
    tokens: number;
    millisecondsPerToken: number;
    keptBytes: number;
  }[];
}

function figures<T>(file: string): T | null {
  const at = path.join(DOCS, 'figures', file);
  return existsSync(at) ? (JSON.parse(readFileSync(at, 'utf8')) as T) : null;
}

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(2);

function speed(bench: BenchCompile): string {
  const { machine, coresUsed, results } = bench;
  const cores = coresUsed === null ? `${machine.cores} cores` : `held on 1 of ${machine.cores} cores`;
  const rows = results.flatMap(({ shape, weights, sourceBytes, outputBytes, runs }) =>
    runs.map(
      (r) =>
        `| ${shape} | ${weights} | ${gigabytes(sourceBytes)} | ${gigabytes(outputBytes)} | ${(r.wallMs / 1000).toFixed(1)} | ` +
        `${(r.processorMs / 1000).toFixed(1)} | ${r.megabytesPerSecond} | ${r.megabytesPerProcessorSecond} | ${(r.peakBytes / 1e6).toFixed(0)} |`,
    ),
  );
  return [
    `Node ${machine.node}, ${machine.platform}, ${machine.processor}, ${cores}.`,
    '',
    '| shape | weights | GB read | GB written | s | processor s | MB/s | MB per processor s | peak MB |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function browser({ shape, weights, sourceBytes, rounds }: BrowserBench): string {
  const megabytes = (bytes: number | null) => (bytes === null ? '' : (bytes / 1e6).toFixed(0));
  const rows = rounds.map((r) => {
    const processor = Object.values(r.processorSeconds).reduce((n, s) => n + s, 0);
    return (
      `| ${r.compileSeconds.toFixed(1)} | ${r.megabytesPerSecond.toFixed(1)} | ${r.openSeconds.toFixed(1)} | ` +
      `${processor.toFixed(1)} | ${megabytes(r.peakBytes)} | ${megabytes(r.browserPeakBytes)} | ${r.tokens} | ` +
      `${r.millisecondsPerToken.toFixed(1)} | ${megabytes(r.keptBytes)} |`
    );
  });
  return [
    `In a worker of Chromium, from a web server on the same machine into the private file system: shape ${shape}, ` +
      `${gigabytes(sourceBytes)} GB of bf16 to ${weights}, then opened on ${rounds[0]?.target} and asked. Every round is a ` +
      'fresh browser; seconds of the processor are those of all its processes, tokens include the prompt.',
    '',
    '| compiling, s | MB/s | opening, s | processor s | peak MB of page and worker | of the browser | tokens | ms per token | MB kept |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function parts({ machine, rounds, elements, parts }: CompileParts): string {
  const rows = Object.entries(parts).map(
    ([name, { median, least }]) =>
      `| ${name} | ${median.toFixed(1)} (${least.toFixed(1)}) | ${((median * 1e6) / elements).toFixed(2)} |`,
  );
  return [
    `What the parts cost for one slab of ${(elements / 1e6).toFixed(1)} M weights: milliseconds of processor time, median of ` +
      `${rounds} rounds with the least in brackets. Node ${machine.node}, ${machine.platform}, ${machine.processor}.`,
    '',
    '| part | ms per slab | ns per weight |',
    '| --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function accuracy(all: readonly Accuracy[]): string {
  const forms = [...new Set(all.map((a) => a.form))];
  const brief = (x: number) => (x < 1e-3 ? x.toExponential(1) : `${(100 * x).toPrecision(2)} %`);
  const rows = [...new Set(all.map((a) => a.fixture))].map((name) => {
    const cells = forms.map((form) => {
      const { middle, worst } = all.find((a) => a.fixture === name && a.form === form)!;
      return `${brief(middle)} (${brief(worst)})`;
    });
    return `| ${name} | ${cells.join(' | ')} |`;
  });
  return [
    "Relative error of logits against transformers', middle position of 50 and worst in brackets.",
    '',
    `| fixture | ${forms.join(' | ')} |`,
    `| --- |${forms.map(() => ' --- |').join('')}`,
    ...rows,
  ].join('\n');
}

/** The tables, from whichever result files are there. */
export function currentTables(): string {
  const bench = figures<BenchCompile>('bench-compile.json');
  const inBrowser = figures<BrowserBench>('bench-compile-browser.json');
  const costs = figures<CompileParts>('compile-parts.json');
  const errors = figures<Accuracy[]>('compile-accuracy.json');
  return [
    bench && speed(bench),
    costs && parts(costs),
    inBrowser && browser(inBrowser),
    errors && accuracy(errors),
  ]
    .filter((p) => p !== null)
    .join('\n\n');
}

/** The document with its tables replaced. Throws if a marker is missing. */
export function withTables(document: string, tables: string): string {
  const [from, to] = [document.indexOf(START), document.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${DOCUMENT}: no compiler figures between their markers`);
  return `${document.slice(0, from + START.length)}\n\n${tables}\n\n${document.slice(to)}`;
}

if (import.meta.filename === process.argv[1]) {
  writeFileSync(DOCUMENT, withTables(readFileSync(DOCUMENT, 'utf8'), currentTables()));
}
