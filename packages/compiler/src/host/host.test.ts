// The host's helpers by their definitions: what a row may see, how positions rotate, what a stored row means.
import { expect, it } from 'vitest';
import type { Manifest, ManifestTensor } from '../manifest.ts';
import { loadEmbedding, MASKED, maskRows, pastMask, ropeRows, slotRows } from './index.ts';

it('opens exactly the stored slots, and with a window only the last of them', () => {
  expect(Array.from(pastMask(null, 3, 4, 6))).toEqual([0, 0, 0, MASKED, MASKED, MASKED]);
  expect(maskRows(null, 4)).toBe(1);
  // Row r is at slot 3 + r and sees the slots above 3 + r - 2.
  const windowed = pastMask(2, 3, 3, 5);
  const seen = [0, 1, 2].map((r) => [0, 1, 2, 3, 4].filter((s) => windowed[r * 5 + s] === 0));
  expect(seen).toEqual([[2], [], []]);
  expect(Array.from(pastMask(100, 3, 1, 4))).toEqual([0, 0, 0, MASKED]);
  // A used buffer is overwritten whole.
  expect(Array.from(pastMask(null, 0, 1, 3, new Float32Array(3).fill(7)))).toEqual([MASKED, MASKED, MASKED]);
});

it('sends new rows to their slots and padding nowhere', () => {
  const { keep, place } = slotRows(2, 2, 3, 5);
  expect(Array.from(keep)).toEqual([1, 1, 0, 0, 1]);
  // [slot][row]
  expect(Array.from(place)).toEqual([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
});

it('rotates by position times frequency, with the sign of the first half in sin', () => {
  const rope = {
    dims: 4,
    theta: 10000,
    scaling: 'default',
    inverseFrequencies: [1, 0.01],
    attentionFactor: 2,
  };
  const { cos, sin } = ropeRows(rope, 7, 2);
  for (const [r, p] of [7, 8].entries()) {
    for (const [j, f] of [1, 0.01].entries()) {
      expect(cos[r * 4 + j]).toBeCloseTo(2 * Math.cos(p * f), 6);
      expect(cos[r * 4 + 2 + j]).toBe(cos[r * 4 + j]);
      expect(sin[r * 4 + 2 + j]).toBeCloseTo(2 * Math.sin(p * f), 6);
      expect(sin[r * 4 + j]).toBe(-sin[r * 4 + 2 + j]!);
    }
  }
});

const halves = new Uint8Array(new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7bff]).buffer);

it.each<[string, Partial<ManifestTensor>, Uint8Array, number[]]>([
  ['f32', { dtype: 'f32' }, new Uint8Array(Float32Array.of(9, 9, 1.5, -2).buffer), [4.5, -6]],
  ['f16', { dtype: 'f16' }, halves, [3 * 2 ** -24, 3 * 65504]],
  ['int8', { dtype: 'int8', group: 1 }, Uint8Array.of(0, 0, 0xff, 127), [-3 * 0.5, 3 * 127 * 0.25]],
  [
    'int8 with zero point',
    { dtype: 'int8', group: 2, zeroPoint: 128 },
    Uint8Array.of(0, 0, 0, 255),
    [-3 * 128 * 2, 3 * 127 * 2],
  ],
  ['int4', { dtype: 'int4', group: 2 }, Uint8Array.of(0, 0x7f), [-3 * 2, 3 * 7 * 2]],
  [
    'int4 with zero point',
    { dtype: 'int4', group: 2, zeroPoint: 8 },
    Uint8Array.of(0, 0x7f),
    [3 * 7 * 2, -3 * 2],
  ],
])('looks up and scales a row of %s', async (_, fields, data, expected) => {
  const perRow = fields.group === 1 ? [9, 9, 0.5, 0.25] : [9, 2];
  const file = new Uint8Array([...data, ...new Uint8Array(Float32Array.from(perRow).buffer)]);
  const tensor = { file: 'e.bin', dims: [2, 2], offset: 0, bytes: data.length, ...fields } as ManifestTensor;
  if (fields.group) tensor.scales = { offset: data.length, bytes: perRow.length * 4 };
  const manifest = {
    embedding: { tensor: 'embedding', scale: 3 },
    tensors: { embedding: tensor },
  } as unknown as Manifest;
  const embedding = await loadEmbedding(manifest, {
    size: async () => file.length,
    read: async (_path, offset = 0, length = file.length) => file.subarray(offset, offset + length),
  });
  const out = new Float32Array(3);
  embedding.embed(1, out, 1);
  expect(Array.from(out)).toEqual([0, ...expected.map(Math.fround)]);
});
