// Chooses a target by measuring: opens the model on every one that exists, each in a worker of its own, times a few
// steps, keeps the fastest open and ends the others. The order found is remembered; small models are often faster on
// the CPU than on an accelerator, so what exists says little. Measuring six targets takes half a minute on two cores, so
// a page may open one that is always quick to open first and have the others measured afterwards.

import type { TargetId } from '../backend.ts';
import { RuntimeError, isAbort, messageOf } from '../errors.ts';
import { environment, modelKey } from '../self-test.ts';
import { browserTargets } from './targets.ts';
import type { WorkerConnection } from './worker-connection.ts';
import type { OpenedModel } from './worker-face.ts';

export interface Attempt {
  connection: WorkerConnection;
  opened: OpenedModel;
}

export interface Fastest extends Attempt {
  /** Targets that could not be opened, with the reason. */
  failed: Map<TargetId, string>;
  /** Measures what has not been measured yet and remembers it; gives the fastest target. Null: nothing is left to do. */
  measureRest: (() => Promise<TargetId>) | null;
}

export interface Choosing {
  /** In order of preference where measurements are equal. */
  order: readonly TargetId[];
  /** Identifies the source of the model. */
  name: string;
  /** Open one of QUICK at once and leave measuring to `measureRest`. */
  quickly: boolean;
  /** Opens the model on a target. */
  attempt: (target: TargetId) => Promise<Attempt>;
  /** Time of the opened model's short measurement; less is faster. */
  measure: (connection: WorkerConnection) => Promise<number>;
}

/** These open in about a second (their code is small or shared) and exist in every browser. */
const QUICK: readonly TargetId[] = ['wasm-simd', 'wasm'];

interface Remembered {
  order: TargetId[];
  /** The model it was measured with: another one may lie behind the same address by now. */
  model: string;
}

/** Throws `target-unavailable` where no target opens. */
export async function openFastest(choosing: Choosing): Promise<Fastest> {
  const { order, name, attempt } = choosing;
  const { facts } = browserTargets;
  const key = `fastest ${name} ${order.join()} ${environment()}`;
  const known = (await facts.get(key)) as Remembered | undefined;
  const failed = new Map<TargetId, string>();
  for (const target of known?.order ?? []) {
    try {
      const found = await attempt(target);
      if (modelKey(found.opened.manifest) === known!.model) return { ...found, failed, measureRest: null };
      found.connection.kill('another model is behind this address now');
      break;
    } catch (error) {
      if (isFinal(error)) throw error;
      failed.set(target, messageOf(error));
    }
  }
  failed.clear();
  const remember = (result: Remembered): Promise<void> => facts.set(key, result);
  const first = choosing.quickly ? await openQuick(choosing) : null;
  if (!first) return { ...(await measureAll(choosing, failed, remember, null)), failed, measureRest: null };
  return {
    ...first,
    failed,
    measureRest: async () => (await measureAll(choosing, failed, remember, first)).connection.target,
  };
}

/** One of QUICK; null where none opens: then all are measured, and the error says why each failed. */
async function openQuick({ order, attempt }: Choosing): Promise<Attempt | null> {
  for (const target of QUICK) {
    if (!order.includes(target)) continue;
    try {
      return await attempt(target);
    } catch (error) {
      if (isFinal(error)) throw error;
    }
  }
  return null;
}

/** `first` is open already and stays so; of the others only the fastest does, and where there is a `first` none. */
async function measureAll(
  { order, attempt, measure }: Choosing,
  failed: Map<TargetId, string>,
  remember: (result: Remembered) => Promise<void>,
  first: Attempt | null,
): Promise<Attempt> {
  const end = (one: Attempt | undefined, reason: string): void => {
    if (one && one !== first) one.connection.kill(reason);
  };
  const scores = new Map<TargetId, number>();
  let best: Attempt | undefined;
  for (const target of order) {
    const probe = await browserTargets.probe(target);
    if (!probe.available || isSoftware(probe.reason)) {
      failed.set(target, probe.available ? `${probe.reason} emulates a GPU on the CPU` : probe.reason);
      continue;
    }
    let found: Attempt | undefined;
    try {
      found = first?.connection.target === target ? first : await attempt(target);
      const score = await measure(found.connection);
      const fastest = best === undefined || score < scores.get(best.connection.target)!;
      scores.set(target, score);
      const loser = fastest ? best : found;
      if (fastest) best = found;
      end(loser, 'another target is faster');
    } catch (error) {
      end(found, 'it could not be measured');
      if (isFinal(error)) {
        end(best, 'the opening ended');
        throw error;
      }
      failed.set(target, messageOf(error));
    }
  }
  if (!best) throw noneLeft(failed, undefined);
  const sorted = [...scores.keys()].sort((a, b) => scores.get(a)! - scores.get(b)!);
  await remember({ order: sorted, model: modelKey(best.opened.manifest) });
  if (first) end(best, 'it was only measured');
  return best;
}

/** A software adapter (SwiftShader, llvmpipe, WARP) is never faster than the CPU targets that run without it. */
function isSoftware(adapter: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|basic render|warp/i.test(adapter);
}

/** Whether trying another target would not help: the error is about the model or its files, or somebody ended the opening. */
export function isFinal(error: unknown): boolean {
  if (isAbort(error)) return true;
  if (error instanceof RuntimeError)
    return ['bad-model', 'bad-tokenizer', 'store', 'closed'].includes(error.code);
  return error instanceof Error && ['CompileError', 'ManifestError'].includes(error.name);
}

/** The error for a model that no target can run, with every target's reason. */
export function noneLeft(failed: ReadonlyMap<TargetId, string>, cause: unknown): RuntimeError {
  const reasons = [...failed].map(([id, reason]) => `${id}: ${reason}`).join('; ');
  return new RuntimeError('target-unavailable', `no execution target here can run the model (${reasons})`, {
    cause,
  });
}
