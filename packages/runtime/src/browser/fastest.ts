// Chooses a target by measuring: opens the model on every one that exists, each in a worker of its own, times a few
// steps, keeps the fastest open and ends the others. The order found is remembered; small models are often faster on
// the CPU than on an accelerator, so what exists says little.

import type { TargetId } from '../backend.ts';
import { RuntimeError, messageOf } from '../errors.ts';
import { speedScore } from '../measure.ts';
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
}

interface Remembered {
  order: TargetId[];
  /** The model it was measured with: another one may lie behind the same address by now. */
  model: string;
}

/** `name` identifies the source; `attempt` opens the model on a target. Throws `target-unavailable` where none opens. */
export async function openFastest(
  order: readonly TargetId[],
  name: string,
  attempt: (target: TargetId) => Promise<Attempt>,
): Promise<Fastest> {
  const { facts } = browserTargets;
  const key = `fastest ${name} ${order.join()} ${environment()}`;
  const known = (await facts.get(key)) as Remembered | undefined;
  const failed = new Map<TargetId, string>();
  for (const target of known?.order ?? []) {
    try {
      const found = await attempt(target);
      if (modelKey(found.opened.manifest) === known!.model) return { ...found, failed };
      found.connection.kill('another model is behind this address now');
      break;
    } catch (error) {
      if (isBadModel(error)) throw error;
      failed.set(target, messageOf(error));
    }
  }
  failed.clear();
  return measureAll(order, attempt, failed, (result) => facts.set(key, result));
}

async function measureAll(
  order: readonly TargetId[],
  attempt: (target: TargetId) => Promise<Attempt>,
  failed: Map<TargetId, string>,
  remember: (result: Remembered) => Promise<void>,
): Promise<Fastest> {
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
      found = await attempt(target);
      const { connection } = found;
      const score = speedScore(await connection.call(connection.remote.measure()));
      const fastest = best === undefined || score < scores.get(best.connection.target)!;
      scores.set(target, score);
      const loser = fastest ? best : found;
      if (fastest) best = found;
      loser?.connection.kill('another target is faster');
    } catch (error) {
      found?.connection.kill('it could not be measured');
      if (isBadModel(error)) throw error;
      failed.set(target, messageOf(error));
    }
  }
  if (!best) throw noneLeft(failed, undefined);
  const sorted = [...scores.keys()].sort((a, b) => scores.get(a)! - scores.get(b)!);
  await remember({ order: sorted, model: modelKey(best.opened.manifest) });
  return { ...best, failed };
}

/** A software adapter (SwiftShader, llvmpipe, WARP) is never faster than the CPU targets that run without it. */
function isSoftware(adapter: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|basic render|warp/i.test(adapter);
}

/** Whether an error is about the model or its files, so that trying another target would not help. */
export function isBadModel(error: unknown): boolean {
  if (error instanceof RuntimeError) return ['bad-model', 'bad-tokenizer', 'store'].includes(error.code);
  return error instanceof Error && ['CompileError', 'ManifestError'].includes(error.name);
}

/** The error for a model that no target can run, with every target's reason. */
export function noneLeft(failed: ReadonlyMap<TargetId, string>, cause: unknown): RuntimeError {
  const reasons = [...failed].map(([id, reason]) => `${id}: ${reason}`).join('; ');
  return new RuntimeError('target-unavailable', `no execution target here can run the model (${reasons})`, {
    cause,
  });
}
