// Writes what the subjects read: a random checkpoint of the shape, compiled for Baton, as GGUF and in ONNX export form.
// Folders that are complete are kept, so a second run on the same folder starts at once.
import { cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { compileDirectory } from '@baton/compiler/node';
import { writeGguf } from '../gguf.ts';
import { writeRandomCheckpoint } from '../random-checkpoint.ts';
import type { Shape } from '../shapes.ts';
import { exportOnnx, ONNX_FILES } from './export-onnx.ts';
import { BATON_MODELS, type Subject } from './subjects.ts';

/** `slots`: tokens of context that every subject must hold. */
export async function prepare(
  folder: string,
  shape: Shape,
  slots: number,
  subjects: readonly Subject[],
  say: (line: string) => void,
): Promise<void> {
  /** `form`: what the folder's contents depend on besides the shape. */
  const once = async (name: string, form: object, work: (to: string) => Promise<void>): Promise<void> => {
    const done = path.join(folder, `${name.replaceAll('/', '-')}.done`);
    const key = JSON.stringify({ shape, ...form });
    if ((await readFile(done, 'utf8').catch(() => '')) === key) return;
    say(`preparing ${name}`);
    const to = path.join(folder, name);
    await mkdir(path.dirname(to), { recursive: true });
    await work(to);
    await writeFile(done, key);
  };
  const checkpoint = path.join(folder, 'checkpoint');
  await once('checkpoint', {}, async (to) => void (await writeRandomCheckpoint(to, shape)));
  for (const subject of subjects) {
    if (subject.reads === 'baton') {
      const { slots: first, ...form } = BATON_MODELS[subject.model];
      const context = [...first.filter((n) => n < slots), slots];
      await once(`baton/${subject.model}`, { slots, form: BATON_MODELS[subject.model] }, async (to) => {
        await rm(to, { recursive: true, force: true });
        // The head is a quarter of the 100m shape's weights; figures for a width are figures for all of it.
        await compileDirectory(checkpoint, to, {
          ...form,
          context,
          chunk: Math.min(form.chunk, context[0]!),
          head: form.weights,
        });
      });
    } else if (subject.reads === 'gguf') {
      await once(`gguf/${subject.type}.gguf`, {}, async (to) => {
        await writeGguf(to, shape, subject.type);
      });
    } else {
      await once(`onnx/onnx/${ONNX_FILES[subject.type]}.onnx`, {}, () =>
        exportOnnx(checkpoint, shape, subject.type, path.join(folder, 'onnx')),
      );
    }
  }
  if (await stat(path.join(folder, 'onnx')).catch(() => null)) await onnxSideFiles(checkpoint, folder);
}

/** Configuration and tokenizer as a repository for transformers.js has them. */
async function onnxSideFiles(checkpoint: string, folder: string): Promise<void> {
  const to = path.join(folder, 'onnx');
  const config = JSON.parse(await readFile(path.join(checkpoint, 'config.json'), 'utf8')) as object;
  const chunks = Object.fromEntries(Object.values(ONNX_FILES).map((name) => [`${name}.onnx`, 1]));
  await writeFile(
    path.join(to, 'config.json'),
    JSON.stringify({ ...config, 'transformers.js_config': { use_external_data_format: chunks } }),
  );
  await writeFile(path.join(to, 'generation_config.json'), '{}');
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await cp(path.join(checkpoint, name), path.join(to, name));
}
