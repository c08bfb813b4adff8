// The compiler's tables in docs/performance.md, from the result files beside it: `node packages/compiler/bench/report.ts`
// rewrites what stands between their markers.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BenchCompile } from './bench-compile.ts';

const DOCS = path.join(import.meta.dirname, '../../../docs');
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
  target: string;
  openSeconds: number;
  tokens: number;
  millisecondsPerToken: number;
  keptBytes: number;
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

function browser(b: BrowserBench): string {
  return (
    `In a worker of Chromium, from a web server on the same machine into the private file system: shape ${b.shape}, ` +
    `${gigabytes(b.sourceBytes)} GB of bf16 to ${b.weights}, compiled and open on ${b.target} after ${b.openSeconds.toFixed(1)} s; ` +
    `then ${b.tokens} tokens of an answer at ${b.millisecondsPerToken.toFixed(1)} ms each, prompt included. ` +
    `${gigabytes(b.keptBytes)} GB stay in the browser.`
  );
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

const bench = figures<BenchCompile>('bench-compile.json');
const inBrowser = figures<BrowserBench>('bench-compile-browser.json');
const errors = figures<Accuracy[]>('compile-accuracy.json');
const parts = [bench && speed(bench), inBrowser && browser(inBrowser), errors && accuracy(errors)];
const file = path.join(DOCS, 'performance.md');
const text = readFileSync(file, 'utf8');
const [from, to] = [text.indexOf(START), text.indexOf(END)];
if (from < 0 || to < from) throw new Error(`${file}: no compiler figures between their markers`);
const tables = parts.filter((p) => p !== null).join('\n\n');
writeFileSync(file, `${text.slice(0, from + START.length)}\n\n${tables}\n\n${text.slice(to)}`);
