// Frequencies against those of Hugging Face transformers (test/fixtures/make-rope-reference.py), in both dialects.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Config } from './config.ts';
import { describe as describeModel, findFamily } from './describe.ts';

interface Reference {
  rope: Record<string, unknown> & { rope_type: string; rope_theta: number };
  top: Record<string, number>;
  length: number;
  inverse: number[];
  factor: number;
}

const url = new URL('../../test/fixtures/rope-reference.json', import.meta.url);
const references = JSON.parse(readFileSync(url, 'utf8')) as Reference[];

function ropeOf(fields: Record<string, unknown>, capacity: number, model_type = 'llama') {
  const { family } = findFamily({ model_type });
  const config = new Config({
    hidden_size: 64,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 256,
    num_hidden_layers: 1,
    intermediate_size: 64,
    vocab_size: 64,
    ...fields,
  });
  const options = {
    capacities: [capacity],
    prefix: 'model.',
    head: 'lm_head.weight',
    ownHead: false,
    layers: 1,
    ignoreConfigFields: [],
  };
  return describeModel(family, config, options).rope[0]!;
}

describe.each(references.map((r) => [`${r.rope.rope_type} at ${r.length}`, r] as const))('%s', (_, r) => {
  const { rope_type, rope_theta, ...rest } = r.rope;
  it.each([
    ['rope_parameters', { ...r.top, rope_parameters: r.rope }],
    ['rope_theta and rope_scaling', { ...r.top, rope_theta, rope_scaling: { type: rope_type, ...rest } }],
    [
      'rope_scaling where there are rope_parameters too',
      {
        ...r.top,
        rope_theta,
        rope_parameters: { rope_type: 'default', rope_theta: 3 },
        rope_scaling: { type: rope_type, ...rest },
      },
    ],
    ['rope_parameters where rope_scaling is empty', { ...r.top, rope_parameters: r.rope, rope_scaling: {} }],
  ])('as transformers has it, from %s', (_, fields) => {
    const rope = ropeOf(fields, r.length);
    expect(rope).toMatchObject({ scaling: rope_type, theta: 20000, dims: 16 });
    expect(rope.attentionFactor).toBeCloseTo(r.factor, 6);
    expect(rope.inverseFrequencies).toHaveLength(r.inverse.length);
    rope.inverseFrequencies.forEach((f, j) => expect(f / r.inverse[j]!).toBeCloseTo(1, 5));
  });
});

it('lays rope_scaling over the table of the layers that see everything where each kind of layer has its own', () => {
  const rope_parameters = {
    full_attention: { rope_type: 'default', rope_theta: 5e5 },
    sliding_attention: { rope_type: 'default', rope_theta: 2e4 },
  };
  const fields = { head_dim: 16, rope_parameters, rope_scaling: { rope_type: 'linear', factor: 8 } };
  const of = (type: string) =>
    ropeOf({ ...fields, sliding_window: 8, layer_types: [type] }, 128, 'gemma3_text');
  expect(of('full_attention')).toMatchObject({ scaling: 'linear', theta: 5e5 });
  expect(of('full_attention').inverseFrequencies[0]).toBe(1 / 8);
  expect(of('sliding_attention')).toMatchObject({ scaling: 'default', theta: 2e4 });
});

it('rotates a part of each head only in the family whose code can', () => {
  const plain = { rope_type: 'default', rope_theta: 1e4 };
  const half = (fields: Record<string, unknown>, type: string) =>
    ropeOf({ partial_rotary_factor: 0.5, ...fields }, 128, type).dims;
  for (const type of ['llama', 'qwen2', 'mistral', 'gemma2', 'smollm3', 'olmo2']) {
    expect(half({ head_dim: 16 }, type), type).toBe(16);
    const inside = { rope_parameters: { ...plain, partial_rotary_factor: 0.5 } };
    expect(ropeOf({ head_dim: 16, ...inside }, 128, type).dims, type).toBe(16);
  }
  expect(half({}, 'phi3')).toBe(8);
  expect(half({ rope_parameters: { ...plain, partial_rotary_factor: 0.25 } }, 'phi3')).toBe(4);
  expect(() => half({ partial_rotary_factor: 2 }, 'phi3')).toThrow(/leave 32 of 16 dimensions to rotate/);
  // transformers makes tables that are too short for the heads here, and fails on them.
  expect(() => half({ rope_scaling: { type: 'linear', factor: 2 } }, 'llama')).toThrow(
    'config.json: rope_scaling: partial_rotary_factor (0.5) does not go with linear scaling here: this family rotates whole heads',
  );
});

it('is the plain table where a configuration says nothing', () => {
  const rope = ropeOf({}, 128);
  expect(rope).toMatchObject({ scaling: 'default', theta: 10000, attentionFactor: 1 });
  expect(rope.inverseFrequencies[0]).toBe(1);
  expect(rope.inverseFrequencies[4]).toBeCloseTo(0.01, 12);
});
