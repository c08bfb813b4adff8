// Speed and memory of the compiler on a checkpoint with the shape of a real model:
//   node packages/compiler/bench/compile-speed.ts [1.5b|0.5b] [f32|f16|int8|int4] [work folder]
// Prints JSON: source bytes, seconds of wall clock and of processor time, MB of source per second of each, peak memory of
// the process. Processor time is what a busy machine does not distort.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { WEIGHT_TYPES, type WeightType } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { SHAPES, writeRandomCheckpoint } from './random-checkpoint.ts';

const [shapeName = '1.5b', weights = 'int4', work = os.tmpdir()] = process.argv.slice(2);
const shape = SHAPES[shapeName];
if (!shape || !WEIGHT_TYPES.includes(weights as WeightType)) {
  console.error(
    `usage: compile-speed.ts [${Object.keys(SHAPES).join('|')}] [${WEIGHT_TYPES.join('|')}] [work folder]`,
  );
  process.exit(1);
}
const folder = await mkdtemp(path.join(work, 'baton-bench-'));
try {
  const checkpoint = path.join(folder, 'checkpoint');
  const sourceBytes = await writeRandomCheckpoint(checkpoint, shape);
  const before = process.cpuUsage();
  const { manifest, elapsedMs } = await compileDirectory(checkpoint, path.join(folder, 'model'), {
    weights: weights as WeightType,
  });
  const cpu = process.cpuUsage(before);
  const cpuMs = (cpu.user + cpu.system) / 1000;
  console.log(
    JSON.stringify({
      shape: shapeName,
      weights,
      sourceBytes,
      outputBytes: manifest.files.reduce((n, f) => n + f.bytes, 0),
      wallSeconds: elapsedMs / 1000,
      processorSeconds: cpuMs / 1000,
      megabytesPerWallSecond: sourceBytes / elapsedMs / 1000,
      megabytesPerProcessorSecond: sourceBytes / cpuMs / 1000,
      peakMemoryMegabytes: process.resourceUsage().maxRSS / 1024,
    }),
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
