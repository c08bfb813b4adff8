// Chooses the next token from logits. The order is transformers': repetition, presence and frequency penalties, logit
// bias, then (unless greedy) temperature, top-k, top-p, min-p, draw. One sampler serves one generation: it owns the
// seeded generator and the counts that penalties need.

import { RuntimeError } from '../errors.ts';
import type { Sampling } from '../text-model.ts';
import { argmax, topIds } from './log-probs.ts';
import { freshSeed, seededRandom, type Random } from './random.ts';

/** After temperature, tokens this far below the best (in nats) weigh < 1e-13 each: they cannot enter a nucleus. */
const NEGLIGIBLE = 30;

export class Sampler {
  readonly #options: Sampling;
  readonly #random: Random;
  readonly #seen = new Set<number>();
  readonly #generated = new Map<number, number>();
  readonly #bias: [number, number][];
  #scratch = new Float32Array();

  /** `context` are the tokens before the generation; only the repetition penalty looks at them. */
  constructor(options: Sampling = {}, context: readonly number[] = []) {
    check(options);
    this.#options = options;
    this.#random = seededRandom(options.seed ?? freshSeed());
    this.#bias = Object.entries(options.logitBias ?? {}).map(([id, bias]) => [Number(id), bias]);
    if (options.repetitionPenalty !== undefined) for (const id of context) this.#seen.add(id);
  }

  get greedy(): boolean {
    return !this.#options.temperature;
  }

  /** Picks a token and counts it. Does not change `logits`. Throws `bad-input` when every token is banned. */
  next(logits: Float32Array): number {
    const id = this.#choose(this.#adjusted(logits));
    this.#seen.add(id);
    this.#generated.set(id, (this.#generated.get(id) ?? 0) + 1);
    return id;
  }

  #choose(logits: Float32Array): number {
    const best = argmax(logits);
    if (logits[best] === -Infinity) throw new RuntimeError('bad-input', 'logitBias bans every token');
    return this.greedy ? best : this.#draw(logits, logits[best]!);
  }

  /** Penalties and bias: formulas of transformers (repetition, Keskar et al. 2019) and of OpenAI's API (the others). */
  #adjusted(logits: Float32Array): Float32Array {
    const {
      repetitionPenalty: repetition = 1,
      presencePenalty: presence = 0,
      frequencyPenalty: frequency = 0,
    } = this.#options;
    if (repetition === 1 && presence === 0 && frequency === 0 && this.#bias.length === 0) return logits;
    if (this.#scratch.length !== logits.length) this.#scratch = new Float32Array(logits.length);
    const out = this.#scratch;
    out.set(logits);
    if (repetition !== 1) {
      for (const id of this.#seen) out[id] = out[id]! > 0 ? out[id]! / repetition : out[id]! * repetition;
    }
    for (const [id, count] of this.#generated) out[id] = out[id]! - presence - frequency * count;
    for (const [id, bias] of this.#bias) if (id < out.length) out[id] = out[id]! + bias;
    return out;
  }

  #draw(logits: Float32Array, best: number): number {
    const { temperature = 1, topK = 0, topP = 1, minP = 0 } = this.#options;
    const { ids, weights } =
      topK > 0
        ? candidates(topIds(logits, topK), logits, best, temperature)
        : allCandidates(logits, best, temperature);
    let count = ids.length;
    if (topP < 1) count = nucleus(ids, weights, topP);
    if (minP > 0) count = filterMinP(ids, weights, count, minP);
    let total = 0;
    for (let i = 0; i < count; i++) total += weights[i]!;
    let left = this.#random() * total;
    for (let i = 0; i < count; i++) {
      left -= weights[i]!;
      if (left < 0) return ids[i]!;
    }
    return ids[count - 1]!;
  }
}

interface Candidates {
  ids: number[];
  weights: number[];
}

function candidates(ids: number[], logits: Float32Array, best: number, temperature: number): Candidates {
  return { ids, weights: ids.map((id) => Math.exp((logits[id]! - best) / temperature)) };
}

function allCandidates(logits: Float32Array, best: number, temperature: number): Candidates {
  const ids: number[] = [];
  const floor = best - NEGLIGIBLE * temperature;
  for (let id = 0; id < logits.length; id++) if (logits[id]! >= floor) ids.push(id);
  return candidates(ids, logits, best, temperature);
}

/** Sorts best first and keeps the shortest prefix whose mass reaches `topP`; gives its length (at least 1). */
function nucleus(ids: number[], weights: number[], topP: number): number {
  const order = ids.map((_, i) => i).sort((a, b) => weights[b]! - weights[a]! || ids[a]! - ids[b]!);
  const sortedIds = order.map((i) => ids[i]!);
  const sortedWeights = order.map((i) => weights[i]!);
  let total = 0;
  for (const w of weights) total += w;
  let mass = 0;
  let count = 0;
  while (count < order.length && mass < topP * total) mass += sortedWeights[count++]!;
  for (let i = 0; i < order.length; i++) {
    ids[i] = sortedIds[i]!;
    weights[i] = sortedWeights[i]!;
  }
  return Math.max(1, count);
}

/** Keeps tokens at least `minP` times as likely as the best (weight 1), in place; gives how many. */
function filterMinP(ids: number[], weights: number[], count: number, minP: number): number {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (weights[i]! < minP) continue;
    ids[kept] = ids[i]!;
    weights[kept++] = weights[i]!;
  }
  return Math.max(1, kept);
}

function check(o: Sampling): void {
  const bad = (name: string, value: unknown, rule: string): never => {
    throw new RuntimeError('bad-input', `sampling.${name} is ${String(value)}; it must be ${rule}`);
  };
  const finite = (v: number | undefined): boolean => v === undefined || Number.isFinite(v);
  if (!finite(o.temperature) || (o.temperature ?? 0) < 0) bad('temperature', o.temperature, 'a number >= 0');
  if (o.topP !== undefined && !(o.topP > 0 && o.topP <= 1)) bad('topP', o.topP, 'in (0, 1]');
  if (o.minP !== undefined && !(o.minP >= 0 && o.minP <= 1)) bad('minP', o.minP, 'in [0, 1]');
  if (o.topK !== undefined && !(Number.isInteger(o.topK) && o.topK >= 0))
    bad('topK', o.topK, 'an integer >= 0 (0 = off)');
  if (o.repetitionPenalty !== undefined && !(o.repetitionPenalty > 0))
    bad('repetitionPenalty', o.repetitionPenalty, '> 0');
  for (const name of ['presencePenalty', 'frequencyPenalty'] as const)
    if (!finite(o[name])) bad(name, o[name], 'a number');
  if (o.seed !== undefined && !Number.isFinite(o.seed)) bad('seed', o.seed, 'a number');
  for (const [id, bias] of Object.entries(o.logitBias ?? {})) {
    if (!/^\d+$/.test(id) || Number.isNaN(bias)) bad(`logitBias[${id}]`, bias, 'a number, under a token id');
  }
}
