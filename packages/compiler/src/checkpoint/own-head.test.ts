// A head that is stored although config.json ties it: used where it differs from the embedding table, as in transformers, whose
// logits the fixtures hold; left alone where it is a copy.
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { broken, editConfig, editHeader, safetensors } from '../../test/broken.ts';
import { fixture, withFolder, worstError } from '../../test/fixtures.ts';
import { TestHost } from '../../test/host.ts';
import { compile, type CheckpointSource, type Manifest } from '../index.ts';
import { DirectorySink } from '../node/index.ts';
import { Checkpoint } from './checkpoint.ts';

async function compiled<T>(
  source: CheckpointSource,
  work: (manifest: Manifest, folder: string) => Promise<T> | T,
): Promise<T> {
  return withFolder(async (folder) => {
    const out = path.join(folder, 'model');
    const { manifest } = await compile(source, new DirectorySink(out), { context: 64, chunk: 64 });
    return work(manifest, out);
  });
}

// Their heads are their own, and a flag that says otherwise changes nothing in transformers.
describe.each(['llama-biased', 'qwen2', 'mistral', 'phi3', 'olmo2'])(
  '%s with tie_word_embeddings',
  (name) => {
    it('gives the logits of the head that is stored', async () => {
      const source = broken(name, editConfig({ tie_word_embeddings: true }));
      await compiled(source, async ({ architecture }, folder) => {
        expect(architecture.tiedEmbeddings).toBe(false);
        const f = fixture(name);
        const host = await TestHost.open(folder);
        const rows = await host.forward(f.prompt, 0);
        await host.close();
        expect(worstError(rows, f.logits.slice(0, f.prompt.length))).toBeLessThan(1e-4);
      });
    });
  },
);

it('stays tied where the head is a copy', async () => {
  const withCopy = editHeader((header, data) => {
    const table = header['model.embed_tokens.weight']!;
    const copy = data.slice(...table.data_offsets);
    const at = data.length;
    header['lm_head.weight'] = { ...table, data_offsets: [at, at + copy.length] };
    const all = new Uint8Array(at + copy.length);
    all.set(data);
    all.set(copy, at);
    return all;
  });
  await compiled(broken('qwen3', withCopy), ({ architecture, embedding }) => {
    expect(architecture.tiedEmbeddings).toBe(true);
    expect(embedding.tensor).toBe('head');
  });
});

const TABLE = { dtype: 'BF16', shape: [5000, 1024] };
const TABLE_BYTES = 2 * 5000 * 1024;
const HEADER = JSON.stringify({
  'model.embed_tokens.weight': { ...TABLE, data_offsets: [0, TABLE_BYTES] },
  'lm_head.weight': { ...TABLE, data_offsets: [TABLE_BYTES, 2 * TABLE_BYTES] },
});

/** Two tables of 10 MB, equal but for one byte at `differAt`, and the lengths of all that is read of them. */
async function open(differAt: number | null, config: Record<string, unknown>) {
  const data = new Uint8Array(2 * TABLE_BYTES);
  if (differAt !== null) data[TABLE_BYTES + differAt] = 1;
  const files: Record<string, Uint8Array> = {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'model.safetensors': safetensors(HEADER, data),
  };
  const reads: number[] = [];
  const source: CheckpointSource = {
    name: 'two tables',
    list: async () => Object.keys(files),
    size: async (file) => files[file]!.length,
    async read(file, offset, length) {
      if (offset > HEADER.length) reads.push(length);
      return files[file]!.subarray(offset, offset + length);
    },
  };
  const { ownHead } = await Checkpoint.open(source);
  return { ownHead, bytes: reads.reduce((n, length) => n + length, 0), most: Math.max(0, ...reads) };
}

it('is told by the last of many bytes, and each is read once and in pieces', async () => {
  for (const differAt of [TABLE_BYTES - 1, null]) {
    const { ownHead, bytes, most } = await open(differAt, { tie_word_embeddings: true });
    expect(ownHead).toBe(differAt !== null);
    expect(bytes).toBe(2 * TABLE_BYTES);
    expect(most).toBeLessThanOrEqual(4 * 1024 * 1024);
  }
});

it('is not looked at further than to the first difference, nor where nothing ties it', async () => {
  const early = await open(0, {});
  expect(early.ownHead).toBe(true);
  expect(early.bytes).toBeLessThan(TABLE_BYTES);
  expect(await open(0, { tie_word_embeddings: false })).toMatchObject({ ownHead: false, bytes: 0 });
});
