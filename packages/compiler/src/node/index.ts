// The compiler in Node: folders as sources and destinations.
import { compile, type CompiledModel } from '../compile.ts';
import type { CompileOptions } from '../options.ts';
import { DirectorySink } from './directory-sink.ts';
import { DirectorySource } from './directory-source.ts';

export { DirectoryFiles } from './directory-files.ts';
export { DirectorySink } from './directory-sink.ts';
export { DirectorySource } from './directory-source.ts';

/** Compiles the checkpoint in `checkpoint` into the folder `out`, which appears whole or not at all. */
export function compileDirectory(
  checkpoint: string,
  out: string,
  options: CompileOptions = {},
): Promise<CompiledModel> {
  return compile(new DirectorySource(checkpoint), new DirectorySink(out), options);
}
