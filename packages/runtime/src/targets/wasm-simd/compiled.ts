// A compiled model (baton.json and its weight files) in this target's own words. Tensors are read one at a time, so
// loading needs the packed weights and one layer, not the model twice.
import type { Manifest, ManifestRope, ManifestTensor, ModelFiles } from '@baton/compiler';
import { loadEmbedding, ropeAt, ropeRows } from '@baton/compiler';
import { FollowingEmbedding } from './embedding.ts';
import type { LayerWeights, Network, NetworkWeights } from './network.ts';
import type { SourceMatrix } from './pack.ts';
import { floatsOf, sourceMatrix, type StoredForm, type StoredMatrix } from './pieces.ts';

/** What the model has that this target cannot run, in one line; undefined when it can. */
export function unsupported(manifest: Manifest): string | undefined {
  const { heads, kvHeads } = manifest.architecture;
  if (heads % kvHeads !== 0) return `${heads} heads over ${kvHeads} key-value heads`;
  for (const [name, { group, dims, scales }] of Object.entries(manifest.tensors)) {
    if (scales && group !== dims[1] && group! % 32 !== 0) {
      return `a scale for every ${group} inputs of ${name} (the kernels here take multiples of 32, or one scale for a whole row)`;
    }
  }
  return undefined;
}

export function networkOf(manifest: Manifest): Network {
  const a = manifest.architecture;
  const table = (rope: ManifestRope, positions: number) => {
    const half = rope.dims / 2;
    const rows = ropeRows(ropeAt(rope, positions), 0, positions);
    const cos = new Float32Array(positions * half);
    const sin = new Float32Array(positions * half);
    for (let p = 0; p < positions; p++) {
      // The second half of a row has the plain values; the first has the sign of the rotation folded in.
      cos.set(rows.cos.subarray(p * rope.dims + half, (p + 1) * rope.dims), p * half);
      sin.set(rows.sin.subarray(p * rope.dims + half, (p + 1) * rope.dims), p * half);
    }
    return { cos, sin };
  };
  const rotary: Network['rotary'] = manifest.rope.map((rope) => ({
    half: rope.dims / 2,
    ...table(rope, manifest.capacities.at(-1)!),
    ...(rope.shorter
      ? { shorter: rope.shorter.map(({ capacity }) => ({ upTo: capacity, ...table(rope, capacity) })) }
      : {}),
  }));
  const still = rotary.push({ half: 0, cos: new Float32Array(0), sin: new Float32Array(0) }) - 1;
  return {
    hidden: a.hiddenSize,
    heads: a.heads,
    keyValueHeads: a.kvHeads,
    headWidth: a.headDim,
    feedForward: a.intermediateSize,
    vocabulary: a.vocabSize,
    epsilon: a.rmsNormEps,
    activation: a.activation,
    attentionScale: a.attentionScale,
    ...(a.attentionCap ? { attentionCap: a.attentionCap } : {}),
    ...(a.logitCap ? { logitCap: a.logitCap } : {}),
    rotary,
    layers: a.layers.map(({ mask, rope }) => {
      const { window } = manifest.masks[mask]!;
      return { rotary: rope ?? still, ...(window === null ? {} : { window }) };
    }),
  };
}

/** Matrices are read whole when their layer is asked for. */
export async function weightsOf(manifest: Manifest, files: ModelFiles): Promise<NetworkWeights> {
  const embedding = await loadEmbedding(manifest, files);
  return {
    ...weightsIn(manifest, files, readMatrix),
    embed: (token, out) => embedding.embed(token, out),
  };
}

/** Matrices stay in their files, and the embedding table until its `follow`. */
export function storedWeightsOf(
  manifest: Manifest,
  files: ModelFiles,
): { weights: NetworkWeights<StoredMatrix>; embedding: FollowingEmbedding } {
  const embedding = new FollowingEmbedding(manifest, files);
  const stored = async (t: ManifestTensor): Promise<StoredMatrix> => ({
    kind: t.dtype === 'f16' ? 'f32' : t.dtype,
    rows: t.dims[0]!,
    inputs: t.dims[1]!,
    form: formOf(t),
    numbers: { file: t.file, offset: t.offset, bytes: t.bytes },
    ...(t.scales ? { scales: { file: t.file, ...t.scales } } : {}),
    read: () => readMatrix(t, files),
  });
  return {
    weights: {
      ...weightsIn(manifest, files, stored),
      prepare: (tokens) => embedding.prepare(tokens),
      embed: (token, out) => embedding.embed(token, out),
    },
    embedding,
  };
}

function weightsIn<Matrix>(
  manifest: Manifest,
  files: ModelFiles,
  read: (tensor: ManifestTensor, files: ModelFiles) => Promise<Matrix>,
): Omit<NetworkWeights<Matrix>, 'embed'> {
  const { tensors } = manifest;
  const vector = async (name: string): Promise<Float32Array | undefined> =>
    tensors[name]
      ? floatsOf(
          tensors[name].dtype as 'f32' | 'f16',
          await range(files, tensors[name].file, tensors[name].offset, tensors[name].bytes),
        )
      : undefined;
  return {
    async layer(index) {
      const at = `layers.${index}.`;
      const entries = await Promise.all(
        LAYER_TENSORS.map(async ([field, name]) => {
          const tensor = tensors[at + name];
          if (!tensor) return [];
          return [
            [field, tensor.dims.length === 2 ? await read(tensor, files) : (await vector(at + name))!],
          ] as const;
        }),
      );
      return Object.fromEntries(entries.flat()) as unknown as LayerWeights<Matrix>;
    },
    finalNorm: async () => (await vector('finalNorm'))!,
    head: async () => {
      const bias = await vector('head.bias');
      return {
        matrix: await read(tensors.head ?? tensors[manifest.embedding.tensor]!, files),
        ...(bias ? { bias } : {}),
      };
    },
  };
}

const LAYER_TENSORS: readonly (readonly [keyof LayerWeights, string])[] = [
  ['inputNorm', 'inputNorm'],
  ['postAttentionNorm', 'postAttentionNorm'],
  ['feedForwardNorm', 'feedForwardNorm'],
  ['postFeedForwardNorm', 'postFeedForwardNorm'],
  ['queryNorm', 'queryNorm'],
  ['keyNorm', 'keyNorm'],
  ...(['query', 'key', 'value', 'output', 'gate', 'up', 'down'] as const).flatMap(
    (name) =>
      [
        [name, name],
        [`${name}Bias`, `${name}.bias`],
      ] as const,
  ),
];

async function readMatrix(t: ManifestTensor, files: ModelFiles): Promise<SourceMatrix> {
  const data = await range(files, t.file, t.offset, t.bytes);
  const scales = t.scales ? await range(files, t.file, t.scales.offset, t.scales.bytes) : new Uint8Array(0);
  return sourceMatrix(formOf(t), t.dims[0]!, data, scales);
}

function formOf({ dtype, dims, group, zeroPoint }: ManifestTensor): StoredForm {
  return {
    dtype: dtype as StoredForm['dtype'],
    inputs: dims[1]!,
    ...(group === undefined ? {} : { group }),
    ...(zeroPoint === undefined ? {} : { zeroPoint }),
  };
}

/** Bytes of a file, at an address that typed arrays accept. */
async function range(files: ModelFiles, file: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await files.read(file, offset, length);
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}
