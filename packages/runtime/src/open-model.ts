// Opens a compiled model on an execution target of a TargetSet: reads and checks baton.json, the tokenizer and the
// weights, and knows where to go on when the target is lost.

import { MANIFEST_FILE, parseManifest, type ModelFiles } from '@baton/compiler';
import type { Backend, TargetId } from './backend.ts';
import type { DecoderOptions } from './decoder.ts';
import { RuntimeError, messageOf } from './errors.ts';
import { LocalModel } from './local-model.ts';
import type { TargetSet } from './targets/target-set.ts';
import { loadText } from './text/load-tokenizer.ts';

export interface OpenModelOptions extends DecoderOptions {
  targets: TargetSet;
  /** One target: used or refused with the reason. Absent: the first of the set's order that opens. */
  target?: TargetId | undefined;
  /** After a lost target go on with the next of the set's order. Default true. */
  fallback?: boolean;
  keptCaches?: number;
}

/** Throws `bad-model`, `bad-tokenizer`, `target-unavailable` or `target-refused`; nothing stays open then. */
export async function openModel(files: ModelFiles, options: OpenModelOptions): Promise<LocalModel> {
  const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
  const text = await loadText(manifest, files);
  const { targets } = options;
  const failed = new Map<TargetId, string>();
  const openFirst = async (order: readonly TargetId[]): Promise<Backend> => {
    for (const target of order) {
      if (failed.has(target)) continue;
      try {
        return await targets.open(target, manifest, files);
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
  const backend = await openFirst(options.target === undefined ? targets.order : [options.target]);
  const { capacity, maxCapacity, whenFull, sinks } = options;
  return new LocalModel({
    manifest,
    text,
    backend,
    next: async (lost) => {
      failed.set(lost, 'lost while running');
      if (options.fallback === false) throw new RuntimeError('target-unavailable', 'fallback is off');
      return openFirst(targets.order);
    },
    decoder: defined({ capacity, maxCapacity, whenFull, sinks }),
    ...defined({ keptCaches: options.keptCaches }),
  });
}

/** The fields that are not undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined)) as never;
}
