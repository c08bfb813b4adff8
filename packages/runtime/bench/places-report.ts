// Tables of docs/performance.md about places: memory per target, the cache on WebNN, load from the store:
// `node packages/runtime/bench/places-report.ts` rewrites what stands between its markers from the files that memory.ts,
// webnn.ts and load.ts wrote to docs/figures. A file that is not there has no table.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { LoadFigures } from './load.ts';
import { table } from './markdown.ts';
import type { MemoryFigures } from './memory.ts';
import type { Timing } from './statistics.ts';
import type { WebNnFigures } from './webnn.ts';

const DOCS = new URL('../../../docs/', import.meta.url);
export const DOCUMENT = new URL('performance.md', DOCS);
const START = '<!-- places: start (packages/runtime/bench/places-report.ts) -->';
const END = '<!-- places: end -->';

const figures = async <T>(name: string): Promise<T | null> => {
  const text = await readFile(new URL(`figures/${name}`, DOCS), 'utf8').catch(() => null);
  return text === null ? null : (JSON.parse(text) as T);
};
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
const time = ({ min, median }: Timing, digits: number, per = 1): string =>
  `${(median / per).toFixed(digits)} (${(min / per).toFixed(digits)})`;

function memory({ shape, browser, rows, failed }: MemoryFigures): string[] {
  return [
    `Memory held by an open model, shape ${shape} where no other is named, in MB; browser: ${browser}, all of its processes.`,
    table(
      ['place', 'target', 'weights', 'weights file', 'embedding', 'held', 'held / files'],
      rows.map((r) => [
        r.place,
        r.shape === shape ? r.target : `${r.target}, shape ${r.shape}`,
        r.weights,
        megabytes(r.weightBytes),
        megabytes(r.embeddingBytes),
        megabytes(r.heldBytes),
        (r.heldBytes / (r.weightBytes + r.embeddingBytes)).toFixed(1),
      ]),
    ),
    ...failed.map(
      ({ target, weights, reason }) => `Not measured: ${target} with ${weights} weights (${reason}).`,
    ),
  ];
}

function webnn({ shape, target, browser, ways }: WebNnFigures): string[] {
  return [
    `Decode on ${target} with f32 weights, shape ${shape}, 128 tokens of context, ${browser}, ms per token.`,
    table(
      ['cache', 'decode'],
      ways.map(({ name, decode, failed }) => [name, decode ? time(decode, 1) : `failed: ${failed}`]),
    ),
  ];
}

function load({ shape, weights, browser, rows }: LoadFigures): string[] {
  return [
    `Opening a stored model, shape ${shape}, ${weights} weights, tokenizer and checks included, in seconds from the start; browser: ${browser}.`,
    table(
      ['place', 'target', 'load', 'first token', 'processor'],
      rows.map((r) => [
        r.place,
        r.target,
        time(r.load, 2, 1000),
        r.firstToken ? time(r.firstToken, 2, 1000) : '',
        r.processor ? time(r.processor, 2, 1000) : '',
      ]),
    ),
  ];
}

/** The tables of the files that exist. */
export async function currentPlaces(): Promise<string> {
  const [held, cache, opened] = await Promise.all([
    figures<MemoryFigures>('bench-memory.json'),
    figures<WebNnFigures>('bench-webnn.json'),
    figures<LoadFigures>('bench-load.json'),
  ]);
  const parts = [held ? memory(held) : [], cache ? webnn(cache) : [], opened ? load(opened) : []];
  return parts.flat().join('\n\n');
}

/** `document` with `tables` between the markers. */
export function withPlaces(document: string, tables: string): string {
  const [start, end] = [document.indexOf(START), document.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`docs/performance.md has no ${START} .. ${END}`);
  return `${document.slice(0, start + START.length)}\n\n${tables}\n\n${document.slice(end)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await writeFile(DOCUMENT, withPlaces(await readFile(DOCUMENT, 'utf8'), await currentPlaces()));
