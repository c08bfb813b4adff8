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

function ropeOf(fields: Record<string, unknown>, capacity: number) {
  const { family } = findFamily({ model_type: 'llama' });
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
    ignoreConfigFields: [],
  };
  return describeModel(family, config, options).rope[0]!;
}

describe.each(references.map((r) => [`${r.rope.rope_type} at ${r.length}`, r] as const))('%s', (_, r) => {
  const { rope_type, rope_theta, ...rest } = r.rope;
  it.each([
    ['rope_parameters', { ...r.top, rope_parameters: r.rope }],
    ['rope_theta and rope_scaling', { ...r.top, rope_theta, rope_scaling: { type: rope_type, ...rest } }],
  ])('as transformers has it, from %s', (_, fields) => {
    const rope = ropeOf(fields, r.length);
    expect(rope).toMatchObject({ scaling: rope_type, theta: 20000, dims: 16 });
    expect(rope.attentionFactor).toBeCloseTo(r.factor, 6);
    expect(rope.inverseFrequencies).toHaveLength(r.inverse.length);
    rope.inverseFrequencies.forEach((f, j) => expect(f / r.inverse[j]!).toBeCloseTo(1, 5));
  });
});

it('is the plain table where a configuration says nothing', () => {
  const rope = ropeOf({}, 128);
  expect(rope).toMatchObject({ scaling: 'default', theta: 10000, attentionFactor: 1 });
  expect(rope.inverseFrequencies[0]).toBe(1);
  expect(rope.inverseFrequencies[4]).toBeCloseTo(0.01, 12);
});
