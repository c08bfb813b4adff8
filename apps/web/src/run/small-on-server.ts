// The small model behind any server that completes text and tells log-probabilities: what it reads is sent there, request by
// request, and listed like what the large model is sent.

import type { TextModel } from '@baton/runtime/text-model';
import { openSmallEndpoint } from '@baton/split';
import type { Settings } from '../state/settings.ts';
import { recordingFetch } from './sent-log.ts';

/** Rejects with one line that says what is missing: an address, log-probabilities, the server itself. */
export async function smallOnServer(
  { smallServer, smallServerModel }: Pick<Settings, 'smallServer' | 'smallServerModel'>,
  apiKey: string,
): Promise<TextModel> {
  if (smallServer.trim() === '') throw new Error('name the address of the small model’s server');
  return openSmallEndpoint({
    url: smallServer,
    fetch: recordingFetch,
    // A person waits: a server that is away must show within seconds.
    connectMs: 10_000,
    retries: 1,
    ...(smallServerModel === '' ? {} : { model: smallServerModel }),
    ...(apiKey === '' ? {} : { apiKey }),
  });
}
