// A numeric test of a target with the very model it is about to run: a few tokens against the same network in plain
// double arithmetic. Drivers and providers do give wrong numbers (gibberish from 8-bit weights, fast-math, fallbacks);
// text would still come out, so a target is refused here, with the numbers, rather than trusted.

import type { Manifest, ModelFiles } from '@baton/compiler';
import type { Backend } from './backend.ts';
import { RuntimeError } from './errors.ts';
import type { Facts } from './facts.ts';
import { networkOf, weightsOf } from './targets/wasm-simd/compiled.ts';
import { referenceLogits } from './targets/wasm-simd/reference.ts';

/**
 * Positions computed by the reference. Two is the least with attention over more than one slot; each costs one pass over
 * the weights in plain JavaScript, about a second for 100 M parameters, once per model.
 */
const REFERENCE_ROWS = 2;
/** Tokens run through the prefill chunk and then one by one; they must also agree with each other. */
const TOKENS = 9;

/**
 * Largest relative error ||got - want|| / ||want|| of a row of logits that passes. Exact arithmetic on the stored
 * weights differs by rounding only; targets that round activations to 8 bits for quantised weights (documented choices
 * of ONNX Runtime's MatMulNBits level 4 and of wasm-simd) differ by some percent, and so do hidden states that cross from
 * graph to graph as f16 (up to 4 % over the compiler's fixtures); a wrong result differs by about 1.
 */
function selfTestLimit(manifest: Manifest, target: string): number {
  if (manifest.weights === 'int4' || manifest.weights === 'int8') return 0.15;
  if (manifest.boundary === 'f16') return 0.05;
  return manifest.weights === 'f16' || target.startsWith('openvino') || target === 'webnn-npu' ? 0.02 : 1e-3;
}

export interface SelfTestResult {
  target: string;
  /** Largest relative error against the reference. */
  error: number;
  /** Largest relative error between the prefill chunk and single steps. */
  disagreement: number;
  limit: number;
}

interface Reference {
  tokens: number[];
  rows: number[][];
}

/** Tests `backend` unless `facts` say that it passed for this model before. Throws `target-refused` with the numbers. */
export async function requireSelfTest(
  backend: Backend,
  manifest: Manifest,
  files: ModelFiles,
  facts: Facts,
): Promise<SelfTestResult> {
  const model = modelKey(manifest);
  const passed = `self-test ${model} ${backend.target} ${backend.description} ${environment()}`;
  const known = (await facts.get(passed)) as SelfTestResult | undefined;
  if (known) return known;
  const result = await selfTest(backend, manifest, await reference(manifest, files, facts, model));
  const worst = Math.max(result.error, result.disagreement);
  if (!(worst <= result.limit)) {
    throw new RuntimeError(
      'target-refused',
      `${backend.target} gives wrong numbers for ${manifest.id}: relative error ${result.error.toPrecision(3)} against the reference, ` +
        `${result.disagreement.toPrecision(3)} between prefill and decode; at most ${result.limit} is accepted. Use another target`,
    );
  }
  await facts.set(passed, result);
  return result;
}

export async function selfTest(
  backend: Backend,
  manifest: Manifest,
  { tokens, rows }: Reference,
): Promise<SelfTestResult> {
  const sequence = await backend.createSequence();
  try {
    const count = Math.min(tokens.length, backend.maxRows);
    const chunk = (await sequence.forward(tokens.slice(0, count), 0, 'all')).logits!.slice();
    const row = (r: number): Float32Array =>
      chunk.subarray(r * backend.vocabSize, (r + 1) * backend.vocabSize);
    let error = 0;
    let disagreement = 0;
    for (let r = 0; r < count; r++) {
      const { logits } = await sequence.forward([tokens[r]!], r, 'last');
      disagreement = Math.max(disagreement, relativeError(row(r), logits!));
      const want = rows[r];
      if (want) error = Math.max(error, relativeError(logits!, want), relativeError(row(r), want));
    }
    return { target: backend.target, error, disagreement, limit: selfTestLimit(manifest, backend.target) };
  } finally {
    await sequence.close();
  }
}

/** How far single steps are from the prefill chunk, without a reference: for choosing between ways to run a step. */
export function agreement(
  backend: Backend,
  manifest: Manifest,
): Promise<Pick<SelfTestResult, 'disagreement' | 'limit'>> {
  return selfTest(backend, manifest, { tokens: testTokens(manifest), rows: [] });
}

/** Spread over the vocabulary, by a multiplier that shares no factor with most sizes. */
function testTokens(manifest: Manifest): number[] {
  return Array.from({ length: TOKENS }, (_, i) => (7 + i * 7919) % manifest.architecture.vocabSize);
}

/** ||got - want|| / ||want||; NaN where either is not finite, which no limit accepts. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    difference += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Names a compiled model by its contents. */
export function modelKey(manifest: Manifest): string {
  const weights = manifest.files.map((f) => f.sha256.slice(0, 16)).join('');
  return `${manifest.id} ${weights}`;
}

/** What besides the model and the target decides the numbers: the browser, or Node. */
export function environment(): string {
  return typeof navigator === 'undefined' ? 'unknown' : navigator.userAgent;
}

async function reference(
  manifest: Manifest,
  files: ModelFiles,
  facts: Facts,
  model: string,
): Promise<Reference> {
  const key = `reference ${model}`;
  const known = (await facts.get(key)) as Reference | undefined;
  if (known) return known;
  const tokens = testTokens(manifest);
  const logits = await referenceLogits(
    networkOf(manifest),
    await weightsOf(manifest, files),
    tokens.slice(0, REFERENCE_ROWS),
  );
  const computed = { tokens, rows: logits.map((row) => [...row]) };
  await facts.set(key, computed);
  return computed;
}
