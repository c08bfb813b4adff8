// Everything that can be wrong with what the compiler is given, and with where it writes: one clear error each, nothing left
// behind.
import { open, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../src/checkpoint/checkpoint.ts';
import { compile, CompileError, verifyModel, type CompileOptions, type ModelSink } from '../src/index.ts';
import { compileDirectory, DirectoryFiles, DirectorySink, DirectorySource } from '../src/node/index.ts';
import { broken, editConfig, editHeader, safetensors, type Files } from './broken.ts';
import { fixture, withFolder } from './fixtures.ts';

const SMALL: CompileOptions = { context: 32, chunk: 8 };
const MODEL = 'model.safetensors';
const QUERY = 'model.layers.0.self_attn.q_proj.weight';

const CASES: readonly [what: string, code: string, message: RegExp, edit: (files: Files) => void][] = [
  [
    'a file cut short',
    'bad-checkpoint',
    /model\.safetensors: tensor \S+ ends at byte \d+ of a file of \d+ \(cut short\)/,
    (f) => void (f[MODEL] = f[MODEL]!.slice(0, -1000)),
  ],
  [
    'a header longer than the file',
    'bad-checkpoint',
    /header of \d+ bytes in a file of 100/,
    (f) => void (f[MODEL] = f[MODEL]!.slice(0, 100)),
  ],
  [
    'a file of a few bytes',
    'bad-checkpoint',
    /3 bytes are too few/,
    (f) => void (f[MODEL] = new Uint8Array(3)),
  ],
  [
    'a pointer that Git LFS has not replaced',
    'bad-checkpoint',
    /model\.safetensors: a Git LFS pointer, not the file itself; run "git lfs pull"/,
    (f) =>
      void (f[MODEL] = new TextEncoder().encode(
        'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98560000\n',
      )),
  ],
  [
    'a header of gigabytes',
    'bad-checkpoint',
    /header of \d+ bytes in a file/,
    (f) => new DataView(f[MODEL]!.buffer).setBigUint64(0, 1n << 40n, true),
  ],
  [
    'a header that is not JSON',
    'bad-checkpoint',
    /header is not a JSON object/,
    (f) => void (f[MODEL] = safetensors('{"a": ', new Uint8Array())),
  ],
  [
    'overlapping tensors',
    'bad-checkpoint',
    /tensors \S+ and \S+ overlap/,
    editHeader(
      (h) => void (h[QUERY]!.data_offsets = h['model.layers.1.self_attn.q_proj.weight']!.data_offsets),
    ),
  ],
  [
    'a range outside the file',
    'bad-checkpoint',
    /ends at byte/,
    editHeader((h, data) => void (h[QUERY]!.data_offsets = [data.length, data.length + 4608])),
  ],
  [
    'a range that ends before it begins',
    'bad-checkpoint',
    /before it begins/,
    editHeader((h) => void (h[QUERY]!.data_offsets = [64, 32])),
  ],
  [
    'a shape that does not fill its range',
    'bad-checkpoint',
    /needs \d+ bytes, its range has \d+/,
    editHeader((h) => void (h[QUERY]!.shape = [48, 49])),
  ],
  [
    'a negative dimension',
    'bad-checkpoint',
    /has no valid shape/,
    editHeader((h) => void (h[QUERY]!.shape = [-48, -48])),
  ],
  [
    'an unreadable dtype',
    'unsupported',
    /q_proj\.weight is I8; only F32, F16 and BF16 are read\. Quantised checkpoints cannot be compiled/,
    editHeader((h) => void (h[QUERY]!.dtype = 'I8')),
  ],
  [
    'a dtype wider than those that are read',
    'unsupported',
    /q_proj\.weight is F64; only F32, F16 and BF16 are read\. Save the checkpoint in one of them$/,
    editHeader((h) => void (h[QUERY]!.dtype = 'F64')),
  ],
  [
    'a shape that config.json does not ask for',
    'bad-checkpoint',
    /is \[24, 96\], config\.json asks for \[48, 48\]/,
    editHeader((h) => void (h[QUERY]!.shape = [24, 96])),
  ],
  [
    'a missing tensor',
    'missing',
    /no tensor model\.layers\.0\.self_attn\.q_proj\.weight/,
    editHeader((h) => void delete h[QUERY]),
  ],
  [
    'a tensor that the network does not have',
    'unsupported',
    /1 tensors are no part of a qwen2 network \(model\.layers\.0\.gate\.extra/,
    editHeader(
      (h) => void (h['model.layers.0.gate.extra'] = { dtype: 'F32', shape: [0], data_offsets: [0, 0] }),
    ),
  ],
  [
    'NaN among the weights',
    'bad-checkpoint',
    /q_proj\.weight holds NaN/,
    editHeader((h, data) => data.fill(255, h[QUERY]!.data_offsets[0], h[QUERY]!.data_offsets[0] + 2)),
  ],
  [
    'weights whose squares no f32 can hold',
    'unsupported',
    /q_proj\.weight has values of up to 3\.0e\+38; from about 1e19 on their squares are too large/,
    // bf16 of 3e38.
    editHeader((h, data) => data.set([0x62, 0x7f], h[QUERY]!.data_offsets[0])),
  ],
  ['no weights at all', 'missing', /no \.safetensors file/, (f) => void delete f[MODEL]],
  ['no config.json', 'missing', /no config\.json/, (f) => void delete f['config.json']],
  [
    'a config.json that is not JSON',
    'bad-config',
    /config\.json: not JSON/,
    (f) => void (f['config.json'] = new TextEncoder().encode('{')),
  ],
  ['a field that is missing', 'bad-config', /hidden_size is missing/, editConfig({ hidden_size: null })],
  [
    'a field of the wrong type',
    'bad-config',
    /num_hidden_layers is "3", not a positive integer/,
    editConfig({ num_hidden_layers: '3' }),
  ],
  [
    'an unknown architecture',
    'unsupported',
    /model_type "mamba2" is not supported; supported are llama/,
    editConfig({ model_type: 'mamba2' }),
  ],
  [
    'a field nobody understands',
    'unsupported',
    /num_experts \(8\) is not understood/,
    editConfig({ num_experts: 8 }),
  ],
  [
    'an unknown activation',
    'unsupported',
    /hidden_act "relu2" is not supported/,
    editConfig({ hidden_act: 'relu2' }),
  ],
  [
    'an unknown rope scaling',
    'unsupported',
    /rope_type "ntk-by-hand"/,
    editConfig({ rope_scaling: { type: 'ntk-by-hand', factor: 2 } }),
  ],
  [
    'a rope field nobody understands',
    'unsupported',
    /rope_scaling: temperature/,
    editConfig({ rope_scaling: { type: 'linear', factor: 2, temperature: 3 } }),
  ],
  [
    'a scaling by nothing',
    'bad-config',
    /rope_scaling: rotary frequencies come out as Infinity/,
    editConfig({ rope_scaling: { type: 'linear', factor: 0 } }),
  ],
  ['a negative theta', 'bad-config', /rotary frequencies come out as .*NaN/, editConfig({ rope_theta: -1 })],
  [
    'an odd number of dimensions to rotate',
    'unsupported',
    /head_dim, partial_rotary_factor leave 9 of 9 dimensions to rotate; an even number/,
    editConfig({ head_dim: 9 }),
  ],
  [
    'more layers than anybody could describe, let alone store',
    'bad-checkpoint',
    /num_hidden_layers is 1000000000, the checkpoint has tensors of 3 layers; the two do not belong together/,
    editConfig({ num_hidden_layers: 1e9 }),
  ],
  [
    'an epsilon of zero',
    'bad-config',
    /rms_norm_eps is 0, not a positive number/,
    editConfig({ rms_norm_eps: 0 }),
  ],
  [
    'layer types for some layers only',
    'bad-config',
    /layer_types is \["full_attention"\], not a list of 3 entries, one for each layer/,
    editConfig({ layer_types: ['full_attention'] }),
  ],
  [
    'a kind of layer that nobody knows',
    'unsupported',
    /layer_types holds "linear_attention"/,
    editConfig({ layer_types: ['full_attention', 'linear_attention', 'full_attention'] }),
  ],
  [
    'a tensor beside the text model',
    'unsupported',
    /1 tensors are no part of a qwen2 network \(lm_head\.bias/,
    editHeader((h) => void (h['lm_head.bias'] = { dtype: 'F32', shape: [0], data_offsets: [0, 0] })),
  ],
  [
    'a switch set otherwise than described',
    'unsupported',
    /use_mrope \(true\)/,
    editConfig({ use_mrope: true }),
  ],
  [
    'a checkpoint that is already quantised',
    'unsupported',
    /quantization_config/,
    editConfig({ quantization_config: { quant_method: 'gptq' } }),
  ],
];

async function failure(work: Promise<unknown>): Promise<CompileError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(CompileError);
  return error as CompileError;
}

describe('a checkpoint with', () => {
  it.each(CASES)('%s is refused (%s)', async (_, code, message, edit) => {
    await withFolder(async (folder) => {
      const sink = new DirectorySink(path.join(folder, 'model'));
      const error = await failure(compile(broken('qwen2', edit), sink, SMALL));
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain('\n');
      expect(error.code).toBe(code);
      expect(await readdir(folder)).toEqual([]);
    });
  });

  it.each([
    [
      'quantised',
      { quantization_config: { quant_method: 'gptq' } },
      /quantization_config: this checkpoint is already quantised/,
    ],
    ['of another family', { model_type: 'bert' }, /model_type "bert" is not supported/],
  ])(
    'weights that cannot be read, as its config.json explains, is told as what it is: %s',
    async (_, fields, message) => {
      const source = broken('qwen2', (files) => {
        editConfig(fields)(files);
        editHeader((h) => void (h[QUERY]!.dtype = 'I64'))(files);
      });
      const read: string[] = [];
      const watched: typeof source = {
        name: source.name,
        list: () => source.list(),
        size: (file) => source.size(file),
        read: (file, offset, length) => (read.push(file), source.read(file, offset, length)),
      };
      expect((await failure(compile(watched, new DirectorySink('unused'), SMALL))).message).toMatch(message);
      expect(read).toEqual(['config.json']);
    },
  );

  it('a missing shard is refused by name', async () => {
    const source = broken('llama-biased', (f) => void delete f['model-00002-of-00002.safetensors']);
    const error = await failure(compile(source, new DirectorySink('unused'), SMALL));
    expect(error).toMatchObject({ code: 'missing' });
    expect(error.message).toMatch(/1 of 2 shards .* are missing: model-00002-of-00002\.safetensors/);
  });

  it('a whole file and an index of others is read from the whole file, as by transformers', async () => {
    const index = JSON.stringify({ weight_map: { [QUERY]: 'model-00001-of-00002.safetensors' } });
    const source = broken('qwen2', (f) => {
      f[`${MODEL}.index.json`] = new TextEncoder().encode(index);
    });
    const { tensors } = await Checkpoint.open(source);
    expect(tensors.get(QUERY)!.file).toBe(MODEL);
  });

  it('a harmless unknown field compiles when the caller says so', async () => {
    await withFolder(async (folder) => {
      const source = broken('qwen2', editConfig({ mascot: 'owl' }));
      const options = { ...SMALL, ignoreConfigFields: ['mascot'] };
      const { manifest } = await compile(source, new DirectorySink(path.join(folder, 'model')), options);
      expect(manifest.family).toBe('qwen2');
    });
  });
});

it('a folder without room is told before anything is written, and left as it was', async () => {
  await withFolder(async (folder) => {
    const sink = new DirectorySink(path.join(folder, 'model'));
    expect(await failure(sink.expect(1e18))).toMatchObject({ code: 'sink' });
    await expect(sink.expect(1e18)).rejects.toThrow(
      /the model takes 1000000000000 MB, and \d+ MB are free there/,
    );
    await sink.abort();
    expect(await readdir(folder)).toEqual([]);
    // What a compilation asks for is what its weights then take.
    const asked: number[] = [];
    const counting = new DirectorySink(path.join(folder, 'model'));
    counting.expect = async (bytes) => void asked.push(bytes);
    const { manifest } = await compile(new DirectorySource(fixture('qwen2').directory), counting, SMALL);
    const weights = manifest.files.filter(({ path: file }) => file.endsWith('.bin'));
    expect(asked).toEqual([weights.reduce((sum, { bytes }) => sum + bytes, 0)]);
  });
});

describe.each<[CompileOptions, RegExp]>([
  [{ chunk: 0 }, /option chunk is 0/],
  [{ chunk: 64, context: 32 }, /option chunk 64 is longer than the smallest context, 32/],
  [{ context: [] }, /option context is empty/],
  [{ context: 1.5 }, /option context is 1\.5/],
  [{ group: 48 as 32 }, /option group is 48; choose one of 16, 32/],
  [{ weights: 'int3' as 'int4' }, /option weights is int3/],
  [{ layersPerGraph: -1 }, /option layersPerGraph is -1/],
  [{ keep: { '.dwon': 'int8' } }, /option keep: no matrix is named \.dwon; there are .*\.down/],
  [{ keep: { 'layers.9.down': 'int8' } }, /option keep: no matrix is named layers\.9\.down/],
  [{ keep: { inputNorm: 'f32' } }, /option keep: no matrix is named inputNorm/],
  [{ epsilonFloor: Infinity }, /option epsilonFloor is Infinity/],
  [{ epsilonFloor: Number.NaN }, /option epsilonFloor is NaN/],
  [{ keepAbove: 0 }, /option keepAbove is 0; give a relative error above 0/],
  [{ cacheUpdate: 'append' as 'rows' }, /option cacheUpdate is append; choose one of rows, whole/],
  [{ boundary: 'bf16' as 'f16' }, /option boundary is bf16; choose one of f32, f16/],
])('options %j', (options, message) => {
  it('are refused', async () => {
    const error = await failure(compileDirectory(fixture('qwen2').directory, 'unused', options));
    expect(error.code).toBe('bad-option');
    expect(error.message).toMatch(message);
  });
});

/** Stands in for a disk that is full after so many bytes: writes to the real sink until then. */
function fullAfter(bytes: number, sink: ModelSink): ModelSink {
  let left = bytes;
  return {
    commit: () => sink.commit(),
    abort: () => sink.abort(),
    async create(file) {
      const writer = await sink.create(file);
      return {
        close: () => writer.close(),
        write(part) {
          left -= part.length;
          if (left < 0) return Promise.reject(new Error('ENOSPC: no space left on device'));
          return writer.write(part);
        },
      };
    },
  };
}

describe('a destination', () => {
  it.each([0, 100_000, 290_000])('that is full after %i bytes is left as it was', async (bytes) => {
    await withFolder(async (folder) => {
      const out = path.join(folder, 'model');
      await compileDirectory(fixture('qwen3').directory, out, SMALL);
      const before = await readFile(path.join(out, 'baton.json'), 'utf8');
      const sink = fullAfter(bytes, new DirectorySink(out));
      const error = await failure(compile(new DirectorySource(fixture('qwen2').directory), sink, SMALL));
      expect(error.code).toBe('sink');
      expect(error.message).toMatch(/cannot write \S+: ENOSPC/);
      expect(await readdir(folder)).toEqual(['model']);
      expect(await readFile(path.join(out, 'baton.json'), 'utf8')).toBe(before);
    });
  });

  it('that holds something else is not touched', async () => {
    await withFolder(async (folder) => {
      await writeFile(path.join(folder, 'thesis.txt'), 'precious');
      const error = await failure(compileDirectory(fixture('qwen2').directory, folder, SMALL));
      expect(error.message).toMatch(/holds files that are no compiled model/);
      expect(await readdir(folder)).toEqual(['thesis.txt']);
    });
  });

  it('that is no folder, or cannot be looked into, is not touched', async () => {
    await withFolder(async (folder) => {
      await writeFile(path.join(folder, 'thesis.txt'), 'precious');
      await symlink('loop', path.join(folder, 'loop'));
      for (const [name, code] of [
        ['thesis.txt', 'ENOTDIR'],
        ['thesis.txt/model', 'ENOTDIR'],
        ['loop', 'ELOOP'],
      ] as const) {
        const error = await failure(
          compileDirectory(fixture('qwen2').directory, path.join(folder, name), SMALL),
        );
        expect(error.code).toBe('sink');
        expect(error.message).toMatch(`${name}: not a readable folder (${code}`);
      }
      expect((await readdir(folder)).toSorted()).toEqual(['loop', 'thesis.txt']);
      expect(await readFile(path.join(folder, 'thesis.txt'), 'utf8')).toBe('precious');
    });
  });

  it('keeps nothing of a compilation that was stopped', async () => {
    await withFolder(async (folder) => {
      const stop = new AbortController();
      const stopped = new Error('stopped');
      const onProgress = ({ done, total }: { done: number; total: number }) => {
        if (done > total / 2) stop.abort(stopped);
      };
      const options = { ...SMALL, signal: stop.signal, onProgress };
      const work = compileDirectory(fixture('qwen2').directory, path.join(folder, 'model'), options);
      await expect(work).rejects.toBe(stopped);
      expect(await readdir(folder)).toEqual([]);
    });
  });
});

it('a compiled model with a damaged, shortened or missing file is found out', async () => {
  await withFolder(async (folder) => {
    const { manifest } = await compileDirectory(
      fixture('qwen2').directory,
      path.join(folder, 'model'),
      SMALL,
    );
    const files = new DirectoryFiles(path.join(folder, 'model'));
    await verifyModel(manifest, files);
    const weights = path.join(folder, 'model', 'weights.bin');
    const handle = await open(weights, 'r+');
    await handle.write(Uint8Array.of(1, 2, 3), 0, 3, 5000);
    await handle.close();
    expect((await failure(verifyModel(manifest, files))).message).toMatch(/weights\.bin: hash mismatch/);
    await writeFile(weights, 'short');
    expect((await failure(verifyModel(manifest, files))).message).toMatch(
      /weights\.bin: 5 bytes, the manifest says/,
    );
    const elsewhere = new DirectoryFiles(folder);
    expect((await failure(verifyModel(manifest, elsewhere))).message).toMatch(/weights\.bin: missing/);
  });
});

/** bf16 of -2, 1, -2, 1 ... */
const PATTERN = (width: number) => Uint16Array.from({ length: width }, (_, i) => (i % 2 ? 0x3f80 : 0xc000));

/** A sparse safetensors file, a few kilobytes on disk: zeros, but for the last row of each tensor with more than one. */
async function sparse(file: string, shapes: Readonly<Record<string, readonly number[]>>): Promise<void> {
  let end = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const begin = end;
    end += shape.reduce((n, d) => n * d, 2);
    return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }] as const;
  });
  const header = safetensors(JSON.stringify(Object.fromEntries(entries)), new Uint8Array());
  const handle = await open(file, 'w');
  await handle.write(header);
  await handle.truncate(header.length + end);
  for (const [, { shape, data_offsets }] of entries) {
    const row = new Uint8Array(PATTERN(shape.at(-1)!).buffer);
    await handle.write(row, 0, row.length, header.length + data_offsets[1]! - row.length);
  }
  await handle.close();
}

it('reads tensors of more than 2 GB, behind offsets of more than 4 GB', async () => {
  await withFolder(async (folder) => {
    const [rows, width] = [1_100_000, 1024];
    await sparse(path.join(folder, MODEL), { first: [rows, width], second: [rows, width] });
    const checkpoint = await Checkpoint.open(new DirectorySource(folder));
    const bytes = await checkpoint.rows(checkpoint.tensor('second'), rows - 2, 2);
    expect(Array.from(new Uint16Array(bytes.buffer).slice(width - 1, width + 2))).toEqual([
      0, 0xc000, 0x3f80,
    ]);
  });
});

/** Keeps the last bytes of every file and counts the rest. */
class TailSink implements ModelSink {
  readonly files = new Map<string, { bytes: number; tail: Uint8Array }>();

  async create(file: string) {
    const seen = { bytes: 0, tail: new Uint8Array() };
    this.files.set(file, seen);
    return {
      write: async (part: Uint8Array) => {
        seen.bytes += part.length;
        if (part.length > 0) seen.tail = part.slice(-8192);
      },
      close: async () => undefined,
    };
  }

  commit = async () => undefined;
  abort = async () => undefined;
  sha256 = () => new DirectorySink('unused').sha256();
}

it('compiles a tensor of more than 2 GB, in slabs', { timeout: 300_000 }, async () => {
  await withFolder(async (folder) => {
    const [vocab, hidden, inner] = [1_100_000, 1024, 32];
    const layer = 'model.layers.0';
    await sparse(path.join(folder, MODEL), {
      [`${layer}.input_layernorm.weight`]: [hidden],
      [`${layer}.post_attention_layernorm.weight`]: [hidden],
      [`${layer}.self_attn.q_proj.weight`]: [16, hidden],
      [`${layer}.self_attn.k_proj.weight`]: [16, hidden],
      [`${layer}.self_attn.v_proj.weight`]: [16, hidden],
      [`${layer}.self_attn.o_proj.weight`]: [hidden, 16],
      [`${layer}.mlp.gate_proj.weight`]: [inner, hidden],
      [`${layer}.mlp.up_proj.weight`]: [inner, hidden],
      [`${layer}.mlp.down_proj.weight`]: [hidden, inner],
      'model.norm.weight': [hidden],
      'model.embed_tokens.weight': [vocab, hidden],
    });
    const config = {
      model_type: 'llama',
      hidden_size: hidden,
      intermediate_size: inner,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 2,
      head_dim: 8,
      vocab_size: vocab,
      tie_word_embeddings: true,
    };
    await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
    const sink = new TailSink();
    const { manifest } = await compile(new DirectorySource(folder), sink, {
      ...SMALL,
      weights: 'int4',
      head: 'int4',
      keep: { embedding: 'int4' },
    });
    const { bytes, offset, scales } = manifest.tensors['head']!;
    expect(bytes).toBe((vocab * hidden) / 2);
    expect(scales!.offset).toBeGreaterThanOrEqual(offset + bytes);
    const written = sink.files.get('weights.bin')!;
    expect(written.bytes).toBe(scales!.offset + scales!.bytes);
    // The last row's scales, behind rows and rows of zeros.
    const last = new Float32Array(written.tail.slice(-128).buffer);
    for (const scale of last) expect(scale).toBeCloseTo(1 / 3, 6);
  });
});
