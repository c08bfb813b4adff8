// What the parts of a compilation cost for one slab of weights (4 M bf16 numbers, 8 MB), each beside what it was chosen over:
// `npx node packages/compiler/bench/parts.ts > docs/figures/compile-parts.json`. The parts take turns in every round; what is
// given is the median processor time, which a busy machine does not stretch, and the least.
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createSHA256 } from 'hash-wasm';
import { convert } from '../src/weights/convert.ts';
import { normals } from './random-checkpoint.ts';

export interface CompileParts {
  schema: 'baton.compile-parts/1';
  machine: { processor: string; node: string; platform: string };
  rounds: number;
  /** Numbers per slab. */
  elements: number;
  /** Milliseconds of processor time per slab, by part. */
  parts: Record<PartName, { median: number; least: number }>;
}

const PARTS = [
  'read from a file into a new buffer',
  'read from a file into one used before',
  'widen bf16 in JavaScript',
  'widen bf16 in the kernel',
  'quantise to int8, one clipping',
  'quantise to int4, ten clippings',
  "hash the int4 result, Node's SHA-256",
  'hash the int4 result, WebAssembly',
  'write the int4 result to a file',
] as const;
type PartName = (typeof PARTS)[number];

const ELEMENTS = 4 * 1024 * 1024;

/** What stood in the place of the kernel's: a typed array over the bytes, one number after the other. */
function widenInJavaScript(bytes: Uint8Array): Float32Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return new Float32Array(bits.buffer);
}

async function measure(rounds: number, folder: string): Promise<CompileParts['parts']> {
  const source = normals(2 * ELEMENTS);
  const stored = (dtype: 'f32' | 'int8' | 'int4') =>
    convert(source, 'BF16', 0, { dtype, group: dtype === 'f32' ? 0 : 32, zeroPoint: 0 });
  const int4 = stored('int4').data.slice();
  const wasm = await createSHA256();
  const used = new Uint8Array(source.length);
  const from = await open(path.join(folder, 'source'), 'w+');
  const to = await open(path.join(folder, 'result'), 'w');
  try {
    await from.write(source);
    const work: Record<PartName, () => unknown> = {
      'read from a file into a new buffer': () =>
        from.read(new Uint8Array(source.length), 0, source.length, 0),
      'read from a file into one used before': () => from.read(used, 0, source.length, 0),
      'widen bf16 in JavaScript': () => widenInJavaScript(source),
      'widen bf16 in the kernel': () => stored('f32'),
      'quantise to int8, one clipping': () => stored('int8'),
      'quantise to int4, ten clippings': () => stored('int4'),
      "hash the int4 result, Node's SHA-256": () => createHash('sha256').update(int4).digest('hex'),
      'hash the int4 result, WebAssembly': () => wasm.init().update(int4).digest('hex'),
      'write the int4 result to a file': () => to.write(int4, 0, int4.length, 0),
    };
    const times = new Map<PartName, number[]>(PARTS.map((name) => [name, []]));
    // The first two rounds are V8's, to compile in.
    for (let round = -2; round < rounds; round++) {
      for (const name of PARTS) {
        const before = process.cpuUsage();
        await work[name]();
        const { user, system } = process.cpuUsage(before);
        if (round >= 0) times.get(name)!.push((user + system) / 1000);
      }
    }
    return Object.fromEntries(
      PARTS.map((name) => {
        const sorted = times.get(name)!.toSorted((a, b) => a - b);
        return [name, { median: hundredths(sorted[sorted.length >> 1]!), least: hundredths(sorted[0]!) }];
      }),
    ) as CompileParts['parts'];
  } finally {
    await from.close();
    await to.close();
  }
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '25' } } });
  const rounds = Number(values.rounds);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-compile-parts-'));
  try {
    const result: CompileParts = {
      schema: 'baton.compile-parts/1',
      machine: {
        processor: os.cpus()[0]?.model.trim() ?? 'unknown',
        node: process.versions.node,
        platform: `${process.platform} ${process.arch}`,
      },
      rounds,
      elements: ELEMENTS,
      parts: await measure(rounds, folder),
    };
    console.log(JSON.stringify(result, null, 1));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
