// The checkpoints that fixtures/make-fixtures.py made, with their reference results, and a place to compile them into.
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, 'fixtures');

export interface Fixture {
  name: string;
  directory: string;
  prompt: number[];
  /** Roll back to `at` tokens of the prompt, then go on with `tokens`. */
  branch: { at: number; tokens: number[] };
  greedy: number[];
  /** [prompt.length][vocab], then [branch.tokens.length][vocab]. */
  logits: Float32Array[];
}

export function fixtureNames(): string[] {
  return readdirSync(ROOT, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name);
}

export function fixture(name: string): Fixture {
  const directory = path.join(ROOT, name);
  const reference = JSON.parse(readFileSync(path.join(directory, 'reference.json'), 'utf8'));
  const bytes = readFileSync(path.join(directory, 'reference.bin'));
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const rows = reference.prompt.length + reference.branch.tokens.length;
  const width = values.length / rows;
  const logits = Array.from({ length: rows }, (_, r) => values.subarray(r * width, (r + 1) * width));
  return { name, directory, ...reference, logits };
}

/** Runs `work` with a fresh temporary folder, which is gone afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-compiler-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The largest ||a - b|| / ||b|| over rows. */
export function worstError(actual: readonly Float32Array[], expected: readonly Float32Array[]): number {
  if (actual.length !== expected.length)
    throw new Error(`${actual.length} rows, expected ${expected.length}`);
  return Math.max(
    ...expected.map((row, r) => {
      const difference = Math.hypot(...row.map((x, i) => x - actual[r]![i]!));
      return difference / Math.hypot(...row);
    }),
  );
}

export function argmax(row: Float32Array): number {
  return row.reduce((best, x, i) => (x > row[best]! ? i : best), 0);
}
