// A process that keeps a model in the cache of BATON_CACHE: `keep.ts download URL` or `keep.ts compile DIR`. It sends the
// hashes of what it reads afterwards to its parent.
import { createHash } from 'node:crypto';
import type { ModelFiles } from '@baton/compiler';
import { DirectoryFiles } from '@baton/compiler/node';
import { diskStore, resolveModel } from '../../src/node/index.ts';

const [kind, what = ''] = process.argv.slice(2);
const files: ModelFiles =
  kind === 'download'
    ? await diskStore().download(what)
    : new DirectoryFiles(await resolveModel(what, { context: 64, chunk: 16 }));
const hash = async (name: string): Promise<string> =>
  createHash('sha256')
    .update(await files.read(name))
    .digest('hex');
process.send!({ weights: await hash('weights.bin'), manifest: await hash('baton.json') }, () =>
  process.exit(0),
);
