// The header of a safetensors file: an 8-byte little-endian length, then JSON with the dtype, shape and byte range of each
// tensor (format: https://github.com/huggingface/safetensors, README "Format"). Everything in it is checked before use.
import { CompileError } from '../errors.ts';
import type { CheckpointSource } from '../files.ts';

const ELEMENT_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

export type CheckpointDtype = keyof typeof ELEMENT_BYTES;

export interface StoredTensor {
  file: string;
  dtype: CheckpointDtype;
  shape: readonly number[];
  /** Absolute byte offset in the file. */
  offset: number;
  bytes: number;
}

/** A pointer file begins so, and is shorter than that (https://github.com/git-lfs/git-lfs, docs/spec.md). */
const POINTER_START = 'version ';
const POINTER_MOST = 1024;

/** The reference reader refuses larger headers too. */
const MAX_HEADER = 100_000_000;

/** Reads one file's header. Throws `bad-checkpoint` for a file that is cut short or whose ranges make no sense. */
export async function readSafetensorsHeader(
  source: CheckpointSource,
  file: string,
): Promise<Map<string, StoredTensor>> {
  const size = await source.size(file);
  const fail = (what: string): never => {
    throw new CompileError('bad-checkpoint', `${file}: ${what}; fetch the file again`);
  };
  if (size < 8) fail(`${size} bytes are too few for a safetensors file`);
  const head = await source.read(file, 0, 8);
  // What `git clone` leaves in place of large files where Git LFS is not installed; cloning again gives the same.
  if (new TextDecoder().decode(head) === POINTER_START && size < POINTER_MOST) {
    throw new CompileError(
      'bad-checkpoint',
      `${file}: a Git LFS pointer, not the file itself; run "git lfs pull" in the checkpoint's folder, or download the file`,
    );
  }
  const length = Number(new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true));
  if (length > size - 8)
    fail(`header of ${length} bytes in a file of ${size} (cut short, or not safetensors)`);
  if (length > MAX_HEADER) fail(`header of ${length} bytes is over the limit of ${MAX_HEADER}`);
  const header = parseHeader(await source.read(file, 8, length), fail);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    tensors.set(name, checkEntry(file, name, entry, 8 + length, size, fail));
  }
  checkOverlaps(tensors, fail);
  return tensors;
}

function parseHeader(bytes: Uint8Array, fail: (what: string) => never): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (header !== null && typeof header === 'object') return header as Record<string, unknown>;
  } catch {
    // Reported below, in words that name the file.
  }
  return fail('its header is not a JSON object');
}

function checkEntry(
  file: string,
  name: string,
  entry: unknown,
  dataStart: number,
  size: number,
  fail: (what: string) => never,
): StoredTensor {
  const { dtype, shape, data_offsets: range } = (entry ?? {}) as Record<string, unknown>;
  const whole = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(whole)) return fail(`tensor ${name} has no valid shape`);
  if (!Array.isArray(range) || range.length !== 2 || !range.every(whole)) {
    return fail(`tensor ${name} has no valid data_offsets`);
  }
  const [begin, end] = range as [number, number];
  if (begin > end) fail(`tensor ${name} ends (${end}) before it begins (${begin})`);
  if (dataStart + end > size) {
    fail(`tensor ${name} ends at byte ${dataStart + end} of a file of ${size} (cut short)`);
  }
  if (!(typeof dtype === 'string' && dtype in ELEMENT_BYTES)) {
    const advice =
      dtype === 'F64'
        ? 'Save the checkpoint in one of them'
        : 'Quantised checkpoints cannot be compiled: use the original one';
    throw new CompileError(
      'unsupported',
      `${file}: tensor ${name} is ${String(dtype)}; only F32, F16 and BF16 are read. ${advice}`,
    );
  }
  const expected = shape.reduce((n, d) => n * d, ELEMENT_BYTES[dtype as CheckpointDtype]);
  if (expected !== end - begin) {
    fail(
      `tensor ${name}: shape [${shape.join(', ')}] in ${dtype} needs ${expected} bytes, its range has ${end - begin}`,
    );
  }
  return { file, dtype: dtype as CheckpointDtype, shape, offset: dataStart + begin, bytes: end - begin };
}

function checkOverlaps(tensors: ReadonlyMap<string, StoredTensor>, fail: (what: string) => never): void {
  const sorted = [...tensors].filter(([, t]) => t.bytes > 0).sort((a, b) => a[1].offset - b[1].offset);
  for (let i = 1; i < sorted.length; i++) {
    const [before, b] = sorted[i - 1]!;
    const [after, a] = sorted[i]!;
    if (b.offset + b.bytes > a.offset) fail(`tensors ${before} and ${after} overlap`);
  }
}
