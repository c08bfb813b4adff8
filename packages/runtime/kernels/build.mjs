// Compiles the kernels: {plain, relaxed} SIMD x {own, shared} memory, four small modules, because an engine accepts a
// memory only where the import says the same. `node packages/runtime/kernels/build.mjs [folder]`; the output is
// deterministic (pinned compiler), committed, and kernels.test.ts compares it with a fresh build.
import { fileURLToPath } from 'node:url';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { main as compile } from 'assemblyscript/asc';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Builds all modules; returns file name -> bytes. Throws with the compiler's messages. */
export async function buildKernels() {
  const modules = new Map();
  for (const set of ['plain', 'relaxed']) {
    for (const memory of ['own', 'shared']) {
      const features = [
        'simd',
        ...(set === 'relaxed' ? ['relaxed-simd'] : []),
        ...(memory === 'shared' ? ['threads'] : []),
      ];
      let bytes;
      const { error, stderr } = await compile(
        [
          `assembly/${set}.ts`,
          '--baseDir',
          here,
          '--outFile',
          'out.wasm',
          '--runtime',
          'stub',
          '--noAssert',
          '-O3',
          '--importMemory',
          '--memoryBase',
          '65536', // constants lie behind the control words (control.ts)
          '--disableWarning',
          '112', // v128 stays inside the module
          ...features.flatMap((feature) => ['--enable', feature]),
          ...(memory === 'shared'
            ? ['--sharedMemory', '--initialMemory', '2', '--maximumMemory', '65536']
            : []),
        ],
        { writeFile: (_name, contents) => void (bytes = contents) },
      );
      if (error || !bytes)
        throw new Error(`kernels ${set}/${memory}: ${error?.message ?? 'no output'}\n${stderr.toString()}`);
      modules.set(`${set}-${memory}.wasm`, bytes);
    }
  }
  return modules;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? join(here, '../src/targets/wasm-simd/wasm');
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of await buildKernels()) {
    await writeFile(join(folder, name), bytes);
    console.log(`${name} ${bytes.length} bytes`);
  }
}
