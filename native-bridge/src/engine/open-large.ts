// The relay's large model by what a person types: a URL (connected when first needed, tried again after a failure) or a
// model of this machine.
import type { TextModel } from '@baton/runtime/text-model';
import { connectOnDemand } from '@baton/split';

export interface LargeOptions {
  large: string;
  largeModel?: string | undefined;
  /** From the environment; never logged, never told to a page. */
  apiKey?: string | undefined;
}

export interface LargeHandle {
  name: string;
  open(): Promise<TextModel>;
  close(): Promise<void>;
}

/** `openHere` opens a model of this machine. Throws for one that cannot be opened; a URL may be away until it is needed. */
export async function openLarge(
  options: LargeOptions,
  openHere: (model: string) => Promise<TextModel>,
): Promise<LargeHandle> {
  if (!/^https?:\/\//i.test(options.large)) {
    const model = await openHere(options.large);
    return { name: model.id, open: async () => model, close: async () => model.close?.() };
  }
  const endpoint = {
    url: options.large,
    ...(options.largeModel === undefined ? {} : { model: options.largeModel }),
    ...(options.apiKey === undefined ? {} : { apiKey: options.apiKey }),
  };
  let connected: TextModel | null = null;
  return {
    name: options.largeModel ?? new URL(options.large).host,
    // The relay has its own end for an endpoint that fails: the small model goes on alone and the trace says so.
    open: async () => (connected ??= connectOnDemand(endpoint)),
    close: async () => connected?.close?.(),
  };
}
