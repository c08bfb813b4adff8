// A checkpoint with the shape of a 0.5B model, compiled to int4 by a worker in real Chromium into the browser's private file
// system, and then asked: `compile-in-browser.ts [--shape 0.5b] [--rounds 1] [work folder]`. Prints JSON: what was read and
// kept, seconds until the model is compiled and until it is open, MB of checkpoint per second, the memory of the process
// that holds page and worker, tokens answered. What happens meanwhile goes to stderr. A measurement, not a test: the
// checkpoint is 1 GB of random weights.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  SHAPES,
  writeRandomCheckpoint,
  type ShapeName,
} from '../../packages/compiler/bench/random-checkpoint.ts';
import {
  browserProcesses,
  busiest,
  peakBytes,
  renderers,
} from '../../packages/runtime/bench/peers/browser-processes.ts';
import { openTestBrowser } from '../../packages/runtime/test/browser/harness.ts';

const runtimeTests = path.join(import.meta.dirname, '../../packages/runtime/test');
const LINE_EVERY_MS = 5000;

interface Round {
  target: string;
  /** From the start to the compiler's last report, and from there to the open model. */
  compileSeconds: number;
  openSeconds: number;
  /** MB (10^6) of checkpoint per second of compilation. */
  megabytesPerSecond: number;
  /** Most resident memory of the process with the page and its worker; null where the system does not tell. */
  peakBytes: number | null;
  /** The same of the browser's main process, which holds what was fetched until the worker takes it. */
  browserPeakBytes: number | null;
  /** Processor seconds of every kind of browser process, compilation to answer. */
  processorSeconds: Record<string, number>;
  tokens: number;
  millisecondsPerToken: number;
  keptBytes: number;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Opens a fresh browser with an empty profile on disk, compiles there, asks. */
async function round(folder: string, checkpoint: string, sourceBytes: number): Promise<Round> {
  const profile = await mkdtemp(path.join(folder, 'profile-'));
  const page = path.join(runtimeTests, 'browser/page');
  const browser = await openTestBrowser({ page, profile, serve: { '/checkpoint/': checkpoint } });
  try {
    let said = 0;
    await browser.page.exposeFunction(
      'report',
      (stage: string, fraction: number | null, left: number | null) => {
        if (performance.now() - said < LINE_EVERY_MS) return;
        said = performance.now();
        const part = fraction === null ? '' : ` ${Math.round(fraction * 100)} %`;
        say(`${stage}${part}${left === null ? '' : `, about ${Math.round(left / 1000)} s left`}`);
      },
    );
    const before = { ...timesByKind(await browserProcesses()) };
    const renderersBefore = await renderers();
    const { keptBytes, compileSeconds, openSeconds, ...asked } = await browser.page.evaluate(async () => {
      const report = (window as unknown as { report(...x: unknown[]): void }).report;
      const started = performance.now();
      let compiled = started;
      const url = new URL('/checkpoint/', location.href).href;
      const model = await window.baton.openWorkerModel(
        { kind: 'checkpoint', url, compile: { context: 512, chunk: 32, weights: 'int4' } },
        {
          target: 'wasm-simd',
          onProgress({ stage, fraction = null, remainingMs = null }) {
            if (stage === 'compiling') compiled = performance.now();
            report(stage, fraction, remainingMs);
          },
        },
      );
      const opened = performance.now();
      let tokens = 0;
      for await (const chunk of model.generate('Hi there', { maxTokens: 16 })) {
        tokens += chunk.tokenIds.length;
        report('answering', null, null);
      }
      const millisecondsPerToken = (performance.now() - opened) / tokens;
      const keptBytes = (await navigator.storage.estimate()).usage ?? 0;
      const target = model.location;
      return {
        target,
        compileSeconds: (compiled - started) / 1000,
        openSeconds: (opened - compiled) / 1000,
        tokens,
        millisecondsPerToken,
        keptBytes,
      };
    });
    const worker = busiest(renderersBefore, await renderers());
    const processes = await browserProcesses();
    const main = processes.find((p) => p.kind === 'browser');
    const after = timesByKind(processes);
    const processorSeconds = Object.fromEntries(
      Object.entries(after).map(([kind, ms]) => [kind, (ms - (before[kind] ?? 0)) / 1000]),
    );
    return {
      ...asked,
      compileSeconds,
      openSeconds,
      megabytesPerSecond: sourceBytes / compileSeconds / 1e6,
      peakBytes: (worker === undefined ? undefined : await peakBytes(worker)) ?? null,
      browserPeakBytes: (main && (await peakBytes(main.id))) ?? null,
      processorSeconds,
      keptBytes,
    };
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}

function timesByKind(processes: readonly { kind: string; processorMs: number }[]): Record<string, number> {
  const times: Record<string, number> = {};
  for (const { kind, processorMs } of processes) times[kind] = (times[kind] ?? 0) + processorMs;
  return times;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { shape: { type: 'string', default: '0.5b' }, rounds: { type: 'string', default: '1' } },
});
const shape = values.shape as ShapeName;
if (!(shape in SHAPES)) throw new Error(`no shape ${shape}; there are ${Object.keys(SHAPES).join(', ')}`);
const folder = await mkdtemp(path.join(positionals[0] ?? os.tmpdir(), 'baton-browser-bench-'));
try {
  say(`writing a checkpoint of shape ${shape}`);
  const checkpoint = path.join(folder, 'checkpoint');
  const { bytes: sourceBytes } = await writeRandomCheckpoint(checkpoint, SHAPES[shape]);
  // Any tokenizer whose ids the vocabulary holds: what is measured does not depend on the text.
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    await cp(path.join(runtimeTests, 'fixtures/tiny', file), path.join(checkpoint, file));
  }
  const rounds: Round[] = [];
  for (let i = 1; i <= Number(values.rounds); i++) {
    say(`round ${i} of ${values.rounds}: starting a browser`);
    rounds.push(await round(folder, checkpoint, sourceBytes));
  }
  console.log(JSON.stringify({ shape, weights: 'int4', sourceBytes, rounds }, null, 1));
} finally {
  await rm(folder, { recursive: true, force: true });
}
