// What a compiled model's stored tensors stand for, read from its files by the manifest alone: the yardstick that graphs with
// smaller weights are measured by.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Manifest } from '../src/index.ts';
import { ModelProtoSchema } from '../src/onnx/gen/onnx_pb.js';

/**
 * Makes MatMulNBits of a fused model compute with f32 activations (accuracy level 1) instead of rounding them to 8 bits, so
 * that what is left of an error is the graph's.
 */
export async function keepActivations(manifest: Manifest, folder: string): Promise<void> {
  for (const { file } of manifest.graphs) {
    const at = path.join(folder, file);
    const model = fromBinary(ModelProtoSchema, await readFile(at));
    for (const { attribute } of model.graph!.node)
      for (const a of attribute) if (a.name === 'accuracy_level') a.i = 1n;
    await writeFile(at, toBinary(ModelProtoSchema, model));
  }
}

/** Overwrites the weights of a model compiled in f32 with those that `stored` really has, in f32. */
export async function putStoredWeights(
  plain: Manifest,
  folder: string,
  stored: Manifest,
  storedFolder: string,
): Promise<void> {
  for (const [tensor, { file, offset }] of Object.entries(plain.tensors)) {
    const values = await storedValues(stored, storedFolder, tensor);
    const handle = await open(path.join(folder, file), 'r+');
    await handle.write(new Uint8Array(values.buffer), 0, values.byteLength, offset);
    await handle.close();
  }
}

/** A stored tensor as f32. A tied embedding is the head. */
export async function storedValues(manifest: Manifest, folder: string, name: string): Promise<Float32Array> {
  const tensor = manifest.tensors[name] ?? manifest.tensors['head']!;
  const bytes = async ({ offset, bytes }: { offset: number; bytes: number }) =>
    (await readFile(path.join(folder, tensor.file))).subarray(offset, offset + bytes);
  const floats = (b: Uint8Array) => new Float32Array(new Uint8Array(b).buffer);
  if (tensor.dtype === 'f16')
    return Float32Array.from(new Float16Array(new Uint8Array(await bytes(tensor)).buffer));
  if (!tensor.scales) return floats(await bytes(tensor));
  const scales = floats(await bytes(tensor.scales));
  const whole = await integers(manifest, folder, manifest.tensors[name] ? name : 'head');
  return Float32Array.from(whole, (q, i) => q * scales[Math.floor(i / tensor.group!)]!);
}

/** Integers of a stored tensor, zero point taken off. */
export async function integers(manifest: Manifest, folder: string, name: string): Promise<number[]> {
  const { dtype, file, offset, bytes, zeroPoint } = manifest.tensors[name]!;
  const data = (await readFile(path.join(folder, file))).subarray(offset, offset + bytes);
  if (dtype === 'int8') return [...data].map((b) => (zeroPoint ? b - zeroPoint : (b << 24) >> 24));
  const nibbles = [...data].flatMap((b) => [b & 15, b >> 4]);
  return nibbles.map((n) => (zeroPoint ? n - zeroPoint : (n << 28) >> 28));
}
