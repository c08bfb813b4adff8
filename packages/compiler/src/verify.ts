// Whether a compiled model's files are those that the manifest lists: for models that were copied or downloaded.
import { createSHA256 } from 'hash-wasm';
import { CompileError } from './errors.ts';
import type { ModelFiles } from './files.ts';
import type { Manifest } from './manifest.ts';

const PIECE = 16 * 1024 * 1024;

/** Reads every file once. Throws `source` naming the first that is missing, of another length or of another SHA-256. */
export async function verifyModel(
  manifest: Manifest,
  files: ModelFiles,
  signal?: AbortSignal,
): Promise<void> {
  for (const { path, bytes, sha256 } of manifest.files) {
    const fail = (what: string, cause?: unknown): never => {
      throw new CompileError('source', `${path}: ${what}; fetch or compile the model again`, { cause });
    };
    const size = await files.size(path).catch((cause) => fail('missing', cause));
    if (size !== bytes) fail(`${size} bytes, the manifest says ${bytes}`);
    const hash = await createSHA256();
    hash.init();
    for (let at = 0; at < bytes; at += PIECE) {
      signal?.throwIfAborted();
      hash.update(await files.read(path, at, Math.min(PIECE, bytes - at)));
    }
    if (hash.digest('hex') !== sha256) fail('hash mismatch: its SHA-256 is not the one in the manifest');
  }
}
