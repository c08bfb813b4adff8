// A checkpoint as the compiler sees it: its configuration files as JSON, and its tensors by name wherever their shard is.
// Reads headers, and both tables where a tied head is stored; the other weights come later, by ranges of rows.
import { CompileError } from '../errors.ts';
import type { CheckpointSource } from '../files.ts';
import { hasOwnHead } from './own-head.ts';
import { readSafetensorsHeader, type StoredTensor } from './safetensors.ts';

type Json = Record<string, unknown>;

const CONFIG = 'config.json';
const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

export class Checkpoint {
  readonly source: CheckpointSource;
  readonly files: readonly string[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  #ownHead = false;

  private constructor(
    source: CheckpointSource,
    files: readonly string[],
    tensors: ReadonlyMap<string, StoredTensor>,
  ) {
    this.source = source;
    this.files = files;
    this.tensors = tensors;
  }

  static async open(source: CheckpointSource): Promise<Checkpoint> {
    return (await Checkpoint.openAs(source, () => null)).checkpoint;
  }

  /**
   * `read` is given config.json (null where there is none) before anything else is read, and may throw: what a checkpoint says of itself
   * explains more than tensors that are not as expected, and headers of many shards are not fetched in vain. What it gives is `found`.
   */
  static async openAs<Found>(
    source: CheckpointSource,
    read: (config: Json | null) => Found,
  ): Promise<{ checkpoint: Checkpoint; found: Found }> {
    const files = await source.list();
    const found = read(files.includes(CONFIG) ? await readJson(source, CONFIG) : null);
    const checkpoint = new Checkpoint(source, files, await readTensors(source, files));
    checkpoint.#ownHead = await hasOwnHead(checkpoint);
    return { checkpoint, found };
  }

  /** There is a head that is no copy of the embedding table, although config.json may tie the two (own-head.ts). */
  get ownHead(): boolean {
    return this.#ownHead;
  }

  /** A JSON object file, or null where it does not exist. */
  async json(path: string): Promise<Json | null> {
    return this.files.includes(path) ? readJson(this.source, path) : null;
  }

  /** A tensor's entry; throws `missing` with the names that come nearest. */
  tensor(name: string): StoredTensor {
    const found = this.tensors.get(name);
    if (found) return found;
    const tail = name.split('.').slice(-2).join('.');
    const near = [...this.tensors.keys()].filter((n) => n.endsWith(tail)).slice(0, 3);
    const hint = near.length > 0 ? ` (it has ${near.join(', ')} ...)` : '';
    throw new CompileError(
      'missing',
      `${this.source.name}: no tensor ${name}${hint}; the checkpoint is incomplete`,
    );
  }

  /** The bytes of rows `first .. first + count - 1` of a matrix, or of elements of a vector. */
  async rows(
    tensor: StoredTensor,
    first: number,
    count: number,
    spare?: (length: number) => Uint8Array | undefined,
  ): Promise<Uint8Array> {
    const rowBytes = tensor.bytes / tensor.shape[0]!;
    const length = count * rowBytes;
    const bytes = await this.source.read(
      tensor.file,
      tensor.offset + first * rowBytes,
      length,
      spare?.(length),
    );
    if (bytes.length !== length) {
      throw new CompileError('source', `${tensor.file}: asked for ${length} bytes, got ${bytes.length}`);
    }
    return bytes;
  }
}

async function readTensors(
  source: CheckpointSource,
  files: readonly string[],
): Promise<Map<string, StoredTensor>> {
  const all = new Map<string, StoredTensor>();
  for (const shard of await shardFiles(source, files)) {
    for (const [name, tensor] of await readSafetensorsHeader(source, shard)) {
      const other = all.get(name);
      if (other) {
        throw new CompileError('bad-checkpoint', `tensor ${name} is in ${other.file} and in ${shard}`);
      }
      all.set(name, tensor);
    }
  }
  return all;
}

async function shardFiles(source: CheckpointSource, files: readonly string[]): Promise<readonly string[]> {
  // As transformers does: an index beside it may be of the shards that the file was made of.
  if (files.includes(WHOLE)) return [WHOLE];
  if (files.includes(INDEX)) {
    const map = (await readJson(source, INDEX))['weight_map'];
    if (map === null || typeof map !== 'object') {
      throw new CompileError('bad-config', `${INDEX}: no weight_map`);
    }
    const shards = [...new Set(Object.values(map as Record<string, string>))].sort();
    const missing = shards.filter((s) => !files.includes(s));
    if (missing.length > 0) {
      throw new CompileError(
        'missing',
        `${source.name}: ${missing.length} of ${shards.length} shards named in ${INDEX} are missing: ${missing.join(', ')}`,
      );
    }
    return shards;
  }
  const found = files.filter((f) => /^[^/]+\.safetensors$/.test(f));
  if (found.length === 1) return found;
  const what =
    found.length === 0 ? 'no .safetensors file' : `${found.length} .safetensors files and no ${INDEX}`;
  throw new CompileError(
    'missing',
    `${source.name}: ${what}; a Hugging Face safetensors checkpoint is needed`,
  );
}

async function readJson(source: CheckpointSource, path: string): Promise<Json> {
  const bytes = await source.read(path, 0, await source.size(path));
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      return value as Json;
    }
  } catch (cause) {
    throw new CompileError('bad-config', `${path}: not JSON (${(cause as Error).message})`, { cause });
  }
  throw new CompileError('bad-config', `${path}: not a JSON object`);
}
