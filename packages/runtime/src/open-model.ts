// Opens a compiled model on an execution target of a TargetSet: reads and checks baton.json, the tokenizer and the
// weights, and knows where to go on when the target is lost.

import { MANIFEST_FILE, parseManifest, type ModelFiles } from '@baton/compiler';
import type { Backend, TargetId } from './backend.ts';
import type { DecoderOptions } from './decoder.ts';
import { RuntimeError, messageOf } from './errors.ts';
import { LocalModel } from './local-model.ts';
import { measureSpeed, speedScore } from './measure.ts';
import { environment, modelKey, requireSelfTest } from './self-test.ts';
import type { TargetSet } from './targets/target-set.ts';
import { loadText } from './text/load-tokenizer.ts';

export interface OpenModelOptions extends DecoderOptions {
  targets: TargetSet;
  /**
   * One target: used or refused with the reason. 'auto': the fastest here by a short measurement, remembered per model.
   * Absent: the first of the set's order that opens.
   */
  target?: TargetId | 'auto' | undefined;
  /** Compare a target's numbers with a reference before its first use with this model (self-test.ts). Default true. */
  selfTest?: boolean;
  /** After a lost target go on with the next of the set's order. Default true; false: the BackendLostError is thrown. */
  fallback?: boolean;
  keptCaches?: number;
  /** Tokens to guess per pass by prompt lookup (speculate.ts); exact. Default 0, off. */
  lookup?: number;
}

/** Throws `bad-model`, `bad-tokenizer`, `target-unavailable` or `target-refused`; nothing stays open then. */
export async function openModel(files: ModelFiles, options: OpenModelOptions): Promise<LocalModel> {
  const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
  // Read while the target opens: each waits for files and threads while the other computes.
  const reading = loadText(manifest, files);
  reading.catch(() => undefined);
  const { targets } = options;
  const failed = new Map<TargetId, string>();
  const openOne = async (target: TargetId): Promise<Backend> => {
    const backend = await targets.open(target, manifest, files);
    try {
      if (options.selfTest !== false) await requireSelfTest(backend, manifest, files, targets.facts);
      return backend;
    } catch (error) {
      await backend.close().catch(() => undefined);
      throw error;
    }
  };
  const openFirst = async (order: readonly TargetId[]): Promise<Backend> => {
    for (const target of order) {
      if (failed.has(target)) continue;
      try {
        return await openOne(target);
      } catch (error) {
        if (order.length === 1) throw error;
        failed.set(target, messageOf(error));
      }
    }
    const reasons = [...failed].map(([target, reason]) => `${target}: ${reason}`);
    throw new RuntimeError(
      'target-unavailable',
      `no execution target can run ${manifest.id} (${reasons.join('; ')})`,
    );
  };
  const order =
    options.target === 'auto'
      ? await fastestFirst(targets, modelKey(manifest), openOne)
      : options.target === undefined
        ? targets.order
        : [options.target];
  const backend = await openFirst(order);
  const text = await reading
    .catch(async (error: unknown) => {
      await backend.close().catch(() => undefined);
      throw error;
    })
    .finally(() => files.release?.());
  const { capacity, maxCapacity, whenFull, sinks } = options;
  return new LocalModel({
    manifest,
    text,
    backend,
    ...(options.fallback === false
      ? {}
      : {
          next: async (lost: TargetId) => {
            failed.set(lost, 'lost while running');
            return openFirst(targets.order).finally(() => files.release?.());
          },
        }),
    decoder: defined({ capacity, maxCapacity, whenFull, sinks }),
    session: defined({ lookup: options.lookup }),
    ...defined({ keptCaches: options.keptCaches }),
  });
}

/** The set's targets by measured speed; those that cannot be opened are last, for their reasons. */
async function fastestFirst(
  targets: TargetSet,
  model: string,
  open: (target: TargetId) => Promise<Backend>,
): Promise<readonly TargetId[]> {
  // What is there, down to drivers: an OpenVINO that was installed since, or a newer driver, is measured anew.
  const offers = await Promise.all(targets.order.map((target) => targets.probe(target)));
  const key = `fastest ${model} ${environment()} ${offers.map((o) => `${o.target} ${o.reason}`).join(', ')}`;
  const known = (await targets.facts.get(key)) as TargetId[] | undefined;
  if (known) return known;
  const scores = new Map<TargetId, number>();
  for (const target of targets.order) {
    try {
      const backend = await open(target);
      scores.set(target, speedScore(await measureSpeed(backend).finally(() => backend.close())));
    } catch {
      scores.set(target, Infinity);
    }
  }
  const order = [...targets.order].sort((a, b) => scores.get(a)! - scores.get(b)!);
  await targets.facts.set(key, order);
  return order;
}

/** The fields that are not undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined)) as never;
}
