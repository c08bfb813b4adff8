// The face of the comparison with other runtimes: runs it, and writes figures, plots and a report.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Shape } from '../shapes.ts';
import { compare, slotsFor, type Comparison } from './compare.ts';
import { prepare } from './prepare.ts';
import { subjectsOf, type Place, type Widths } from './subjects.ts';
import { nameOf, section } from './summary.ts';

export type { Comparison } from './compare.ts';
export { section, summary } from './summary.ts';

export interface PeersOptions {
  shapes: readonly Shape[];
  places: readonly Place[];
  widths: readonly Widths[];
  contexts: readonly number[];
  rounds: number;
  /** Minutes after which no comparison begins a new round. */
  minutes: number;
  threads?: number | undefined;
  /** Parts of subject names, e.g. "q4" or "wasm-simd"; none = everything. */
  only: readonly string[];
  /** Where prepared models are kept for another run; default: a temporary folder. */
  models?: string | undefined;
  /** Folder for peers-SHAPE-PLACE-WIDTHS.json, its plots, and peers.md. */
  out?: string | undefined;
  onProgress?: (line: string) => void;
}

const TOKENS = 17;
const PREFILL_AT = 512;

/** Runs every asked comparison, one after the other. */
export async function benchPeers(options: PeersOptions): Promise<Comparison[]> {
  const { shapes, places, contexts, rounds, minutes, only, out } = options;
  const say = options.onProgress ?? (() => undefined);
  const threads = options.threads ?? os.availableParallelism();
  const root = options.models ?? (await mkdtemp(path.join(os.tmpdir(), 'baton-peer-models-')));
  const done: Comparison[] = [];
  try {
    const runs = shapes.flatMap((shape) =>
      places.flatMap((place) => options.widths.map((widths) => ({ shape, place, widths }))),
    );
    for (const { shape, place, widths } of runs) {
      const subjects = subjectsOf(place, widths, only);
      if (subjects.length === 0) throw new Error(`--only ${only.join(',')} names nothing in the ${place}`);
      const folder = path.resolve(root, shape.name);
      await prepare(folder, shape, slotsFor(contexts, TOKENS), subjects, say);
      const prefillAt = contexts.includes(PREFILL_AT) ? PREFILL_AT : Math.max(...contexts);
      const common = { contexts, prefillAt, rounds, minutes, threads, only, tokens: TOKENS };
      const onRound = async (soFar: Comparison): Promise<void> => {
        if (out !== undefined) await writeComparison(out, soFar);
      };
      done.push(await compare({ ...common, shape, place, widths, folder, say, onRound }));
    }
    if (out !== undefined) await writeReport(out);
    return done;
  } finally {
    if (options.models === undefined) await rm(root, { recursive: true, force: true });
  }
}

async function writeComparison(out: string, comparison: Comparison): Promise<void> {
  const { drawPeers } = await import('./plots.ts');
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, `${nameOf(comparison)}.json`), `${JSON.stringify(comparison, null, 2)}\n`);
  for (const { file, svg } of drawPeers(comparison)) await writeFile(path.join(out, file), svg);
}

/** Every comparison whose figures lie in a folder. */
export async function readComparisons(folder: string): Promise<Comparison[]> {
  const names = (await readdir(folder)).filter((name) => /^peers-.*\.json$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(path.join(folder, name), 'utf8')) as Comparison),
  );
}

/** The report on all figures in the folder, those of earlier runs included. */
async function writeReport(folder: string): Promise<void> {
  const parts = (await readComparisons(folder)).map((comparison) => section(comparison));
  await writeFile(path.join(folder, 'peers.md'), `# Baton beside other runtimes\n\n${parts.join('\n\n')}\n`);
}
