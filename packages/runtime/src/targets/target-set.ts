// What a place (Node, a browser worker) offers: which targets exist there, why others do not, and how to open one.

import type { Manifest, ModelFiles } from '@baton/compiler';
import type { Backend, TargetId } from '../backend.ts';
import type { Facts } from '../facts.ts';

export interface TargetProbe {
  target: TargetId;
  available: boolean;
  /** One line: what it will use ("2 threads"), or why it is not available. */
  reason: string;
}

export interface TargetSet {
  /** Best first: the order tried when no measurement decides and after a target is lost. */
  readonly order: readonly TargetId[];
  /** Where self-tests and measurements are remembered. */
  readonly facts: Facts;
  probe(target: TargetId): Promise<TargetProbe>;
  /** Opens a model on one target; throws `target-unavailable`, `target-refused` or `bad-model`. */
  open(target: TargetId, manifest: Manifest, files: ModelFiles): Promise<Backend>;
}
