// A folder and those on the way to it, or one line that says why not.

import { makeFolder as make } from '@baton/runtime/make-folder';

import { EvalError } from '../eval-error.ts';

/** Resolves with the folders that it created, outermost first. Throws EvalError where one of them cannot be. */
export async function makeFolder(folder: string): Promise<string[]> {
  try {
    return make(folder);
  } catch (cause) {
    throw new EvalError(`${folder}: cannot be created (${(cause as Error).message}); choose another place`, {
      cause,
    });
  }
}
