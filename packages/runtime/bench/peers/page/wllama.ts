// wllama: llama.cpp in WebAssembly, its own worker and threads, its own model cache.
import { prompt, timeTokens, type Runner } from '../turn.ts';
import type { Served } from './main.ts';

/** The part of @wllama/wllama that is used; the package is installed in peers/ only. */
interface Wllama {
  loadModelFromUrl(url: string, options: Record<string, unknown>): Promise<void>;
  createCompletion(options: Record<string, unknown>): Promise<AsyncIterable<unknown>>;
  isMultithread(): boolean;
  getNumThreads(): number;
  exit(): Promise<void>;
}
interface Module {
  Wllama: {
    new (paths: { default: string }, config: { suppressNativeLog: boolean }): Wllama;
    getLibllamaVersion(): string;
  };
}

export async function openWllama({ url, threads, slots }: Served): Promise<Runner> {
  const address = new URL('/wllama/esm/index.js', location.href).href;
  const { Wllama } = (await import(/* @vite-ignore */ address)) as Module;
  const wllama = new Wllama({ default: '/wllama/esm/wasm/wllama.wasm' }, { suppressNativeLog: true });
  await wllama.loadModelFromUrl(url, { n_ctx: slots, n_threads: threads, n_gpu_layers: 0, n_parallel: 1 });
  const used = wllama.isMultithread() ? wllama.getNumThreads() : 1;
  return {
    description: `llama.cpp ${Wllama.getLibllamaVersion()}, ${used} thread${used === 1 ? '' : 's'}`,
    turn: (turn) => {
      return timeTokens(async function* () {
        const stream = await wllama.createCompletion({
          prompt: prompt(turn.context),
          max_tokens: turn.tokens,
          temperature: 0,
          stream: true,
          ignore_eos: true,
          cache_prompt: false,
        });
        for await (const _ of stream) yield performance.now();
      }, turn);
    },
    close: () => wllama.exit(),
  };
}
