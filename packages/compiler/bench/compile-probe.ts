// Compiles one checkpoint in a process of its own, so that its memory is nobody else's, and prints what it took:
//   node compile-probe.ts CHECKPOINT OUT WEIGHTS
import { compileDirectory } from '../src/node/index.ts';
import { WEIGHT_TYPES } from '../src/index.ts';

const [checkpoint = '', out = '', name = ''] = process.argv.slice(2);
const weights = WEIGHT_TYPES.find((type) => type === name);
if (!weights) throw new Error(`no weight type ${name}`);

const QUARTERS = [0.25, 0.5, 0.75];
const estimates: { done: number; elapsedMs: number; remainingMs: number }[] = [];
const before = process.cpuUsage();
const { manifest, sourceBytes, elapsedMs } = await compileDirectory(checkpoint, out, {
  weights,
  onProgress: ({ done, total, elapsedMs, remainingMs }) => {
    const passed = QUARTERS[estimates.length];
    if (passed === undefined || done < passed * total || remainingMs === null) return;
    estimates.push({ done: done / total, elapsedMs, remainingMs });
  },
});
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    parameters: manifest.source.parameters,
    sourceBytes,
    outputBytes: manifest.files.reduce((n, f) => n + f.bytes, 0),
    wallMs: elapsedMs,
    processorMs: (user + system) / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    estimates: estimates.map((e) => ({ ...e, tookMs: elapsedMs - e.elapsedMs })),
  }),
);
