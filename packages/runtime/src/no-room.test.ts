// A cache that really cannot be allocated: V8 is started with a limit on WebAssembly memory that the model fits in and the
// next capacity's cache does not.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';

const testFolder = fileURLToPath(new URL('../test/', import.meta.url));
/** 64 KiB each: 16 MB hold the model and small caches; a cache of 65 536 slots takes more. */
const PAGES = 250;
const prompt = 'A baker makes 24 loaves.';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-room-'));
  await compileDirectory(path.join(testFolder, 'fixtures/tiny'), folder, {
    context: [32, 65_536],
    chunk: 16,
  });
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

interface Written {
  ids: number[];
  last: { finishReason?: string; notes?: string[] };
  location: string;
}

async function write(order: string, flags: readonly string[], times = 1): Promise<Written[]> {
  const script = path.join(testFolder, 'processes/write.ts');
  const args = [...flags, script, folder, order, prompt, '40', String(times)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Written);
}
const tight = [`--wasm-max-mem-pages=${PAGES}`];

test('the conversation grows on the next target, and the trace says why', async () => {
  const [whole] = await write('ort-cpu', []);
  const [moved] = await write('wasm-simd,ort-cpu', tight);
  expect(whole!.ids).toHaveLength(40);
  expect(moved).toMatchObject({ ids: whole!.ids, location: 'ort-cpu', last: { finishReason: 'length' } });
  expect(moved!.last.notes).toEqual([
    expect.stringMatching(
      /^wasm-simd: no room for a cache of 65536 slots: .*refuses \S+ GiB.*; went on with ort-cpu$/,
    ),
  ]);
});

test('where no target has room the text ends with that reason, and the model goes on at the size it has', async () => {
  const [whole] = await write('ort-cpu', []);
  const [first, second] = await write('wasm-simd', tight, 2);
  expect(first).toMatchObject({ location: 'wasm-simd', last: { finishReason: 'context' } });
  // 32 slots and one token that is written but not in the cache.
  expect(first!.ids).toEqual(whole!.ids.slice(0, 25));
  expect(first!.last.notes!.join()).toMatch(/no room for a cache of 65536 slots.*no other target has room/);
  expect(second!.ids).toEqual(first!.ids);
});
