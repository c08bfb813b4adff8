// A compiled model (baton.json and its weight files) in this target's own words. Tensors are read one at a time, so
// loading needs the packed weights and one layer, not the model twice.
import type { Manifest, ManifestRope, ManifestTensor, ModelFiles } from '@baton/compiler';
import { halfToFloat, loadEmbedding, ropeAt, ropeRows } from '@baton/compiler';
import type { LayerWeights, Network, NetworkWeights } from './network.ts';
import type { SourceMatrix } from './pack.ts';

/** Why this target cannot run the model, in one line; undefined when it can. */
export function unsupported(manifest: Manifest): string | undefined {
  const { heads, kvHeads } = manifest.architecture;
  if (heads % kvHeads !== 0) return `${heads} heads over ${kvHeads} key-value heads`;
  for (const [name, { group, dims, scales }] of Object.entries(manifest.tensors)) {
    if (scales && group !== dims[1] && group! % 32 !== 0) {
      return `${name} has a scale for every ${group} inputs (its kernels take multiples of 32, or one scale for a whole row)`;
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

export async function weightsOf(
  manifest: Manifest,
  files: ModelFiles,
): Promise<NetworkWeights & { embeddingBytes: number }> {
  const { tensors } = manifest;
  const read = async (tensor: ManifestTensor): Promise<SourceMatrix> => readMatrix(tensor, files);
  const vector = async (name: string): Promise<Float32Array | undefined> =>
    tensors[name]
      ? asFloats(
          tensors[name],
          await range(files, tensors[name].file, tensors[name].offset, tensors[name].bytes),
        )
      : undefined;
  const embedding = await loadEmbedding(manifest, files);
  return {
    async layer(index) {
      const at = `layers.${index}.`;
      const entries = await Promise.all(
        LAYER_TENSORS.map(async ([field, name]) => {
          const tensor = tensors[at + name];
          if (!tensor) return [];
          return [
            [field, tensor.dims.length === 2 ? await read(tensor) : (await vector(at + name))!],
          ] as const;
        }),
      );
      return Object.fromEntries(entries.flat()) as unknown as LayerWeights;
    },
    finalNorm: async () => (await vector('finalNorm'))!,
    head: async () => {
      const bias = await vector('head.bias');
      return {
        matrix: await read(tensors.head ?? tensors[manifest.embedding.tensor]!),
        ...(bias ? { bias } : {}),
      };
    },
    embed: (token, out) => embedding.embed(token, out),
    embeddingBytes: embedding.bytes,
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
  const [rows, inputs] = t.dims as [number, number];
  const bytes = await range(files, t.file, t.offset, t.bytes);
  if (t.dtype === 'f32' || t.dtype === 'f16') return { kind: 'f32', rows, inputs, data: asFloats(t, bytes) };
  const raw = await range(files, t.file, t.scales!.offset, t.scales!.bytes);
  const scales = new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
  if (t.dtype === 'int4')
    return { kind: 'int4', rows, inputs, group: t.group!, data: bytes, offset: t.zeroPoint === 8, scales };
  const data = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    kind: 'int8',
    rows,
    inputs,
    group: t.group!,
    data: t.zeroPoint === 128 ? data.map((b) => b ^ 0x80) : data,
    scales,
  };
}

function asFloats(t: ManifestTensor, bytes: Uint8Array): Float32Array {
  if (t.dtype === 'f32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Float32Array.from(halves, halfToFloat);
}

/** Bytes of a file, at an address that typed arrays accept. */
async function range(files: ModelFiles, file: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await files.read(file, offset, length);
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}
