// Where every tensor will lie in the output files and in which form, decided before a single weight is read: graphs and
// manifest follow from it.
import { CompileError } from '../errors.ts';
import type { Description, WeightSource } from '../families/description.ts';
import type { ManifestTensor } from '../manifest.ts';
import type { ResolvedOptions, WeightType } from '../options.ts';

export const WEIGHTS_FILE = 'weights.bin';
const EMBEDDING_FILE = 'embedding.bin';

/** Small tensors start on cache lines; large ones on pages, so that runtimes can map them. */
const ALIGNMENT = 64;
const PAGE = 4096;
const LARGE = 65536;

export interface PlacedTensor {
  source: WeightSource;
  tensor: ManifestTensor;
  /** Inputs that share a scale. `tensor.group` may be smaller: fused kernels repeat per-channel scales. */
  quantisationGroup: number;
}

export interface Layout {
  /** In the order in which they are written; one file after the other. */
  placed: PlacedTensor[];
  /** Tensor that holds the embedding table. */
  embedding: string;
  /** Of all files together. */
  bytes: number;
}

/** Throws `bad-option` for an entry of `keep` that names no matrix: a misspelt one would quietly keep nothing. */
export function checkKeep(description: Description, keep: ResolvedOptions['keep']): void {
  const matrices = description.weights.filter((w) => w.dims.length === 2).map((w) => w.name);
  const lost = Object.keys(keep).find((pattern) => !matrices.some((name) => isNamed(name, pattern)));
  if (lost === undefined) return;
  const endings = [...new Set(matrices.map((name) => name.replace(/^layers\.\d+/, '')))];
  throw new CompileError(
    'bad-option',
    `option keep: no matrix is named ${lost}; there are ${endings.join(', ')}, each layer's also as layers.N.query`,
  );
}

export function layOut(description: Description, options: ResolvedOptions): Layout {
  const { tiedEmbeddings } = description.architecture;
  const ends: Record<string, number> = {};
  const placed: PlacedTensor[] = [];
  const formOf = (source: WeightSource) => storedForm(source, options);
  const head = description.weights.find((w) => w.name === 'head')!;
  const embedding = description.weights.find((w) => w.name === 'embedding')!;
  // A tied table in the same form is stored once.
  const shared = tiedEmbeddings && formOf(head).dtype === formOf(embedding).dtype;
  for (const source of description.weights) {
    if (source === embedding && shared) continue;
    const file = source === embedding ? EMBEDDING_FILE : WEIGHTS_FILE;
    const { dtype, group, storedGroup, zeroPoint } = formOf(source);
    const elements = source.dims.reduce((n, d) => n * d, 1);
    const bytes = elements * BYTES[dtype];
    const offset = align(ends[file] ?? 0, bytes);
    const tensor: ManifestTensor = { file, dtype, dims: [...source.dims], offset, bytes };
    ends[file] = offset + bytes;
    if (group > 0) {
      const scaleBytes = (elements / storedGroup) * 4;
      const scales = { offset: align(ends[file], scaleBytes), bytes: scaleBytes };
      Object.assign(tensor, { scales, group: storedGroup, zeroPoint });
      ends[file] = scales.offset + scaleBytes;
    }
    placed.push({ source, tensor, quantisationGroup: group });
  }
  const bytes = Object.values(ends).reduce((sum, end) => sum + end, 0);
  return { placed, embedding: shared ? 'head' : 'embedding', bytes };
}

const BYTES = { f32: 4, f16: 2, int8: 1, int4: 0.5 } as const;

interface Form {
  dtype: WeightType;
  /** 0 for floats. */
  group: number;
  storedGroup: number;
  zeroPoint: 0 | 8 | 128;
}

function storedForm(source: WeightSource, options: ResolvedOptions): Form {
  if (source.dims.length === 1) return { dtype: 'f32', group: 0, storedGroup: 0, zeroPoint: 0 };
  const inputs = source.dims[1]!;
  let dtype = wantedType(source.name, options);
  if (dtype === 'int4' && inputs % 2 === 1) dtype = 'int8';
  if (dtype === 'f32' || dtype === 'f16') return { dtype, group: 0, storedGroup: 0, zeroPoint: 0 };
  const group = divisorGroup(inputs, options.group);
  const block = fusedBlock(inputs, group);
  if (options.lowering !== 'fused' || block === 0) return { dtype, group, storedGroup: group, zeroPoint: 0 };
  return { dtype, group, storedGroup: block, zeroPoint: dtype === 'int4' ? 8 : 128 };
}

function wantedType(name: string, options: ResolvedOptions): WeightType {
  const kept = Object.entries(options.keep).find(([pattern]) => isNamed(name, pattern));
  if (kept) return kept[1];
  if (name === 'head') return options.head;
  return name === 'embedding' ? options.embedding : options.weights;
}

/** Whole names, or endings that begin with a dot. */
function isNamed(name: string, pattern: string): boolean {
  return name === pattern || (pattern.startsWith('.') && name.endsWith(pattern));
}

/** The asked group, halved until it divides the inputs; below 16, one scale per row. */
function divisorGroup(inputs: number, asked: number | 'channel'): number {
  if (asked === 'channel') return inputs;
  for (let group = asked; group >= 16; group /= 2) if (inputs % group === 0) return group;
  return inputs;
}

/** Block size for MatMulNBits (a power of two from 16 to 256) inside `group`; 0 where there is none. */
function fusedBlock(inputs: number, group: number): number {
  if (group <= 256 && group >= 16 && Number.isInteger(Math.log2(group))) return group;
  for (let block = 128; block >= 16; block /= 2)
    if (inputs % block === 0 && group % block === 0) return block;
  return 0;
}

function align(offset: number, bytes: number): number {
  const unit = bytes >= LARGE ? PAGE : ALIGNMENT;
  return Math.ceil(offset / unit) * unit;
}
