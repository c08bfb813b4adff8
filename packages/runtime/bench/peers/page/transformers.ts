// transformers.js on its WebAssembly device, from the browser's cache. Only the number of threads is set by hand: its
// default is half the cores.
import type { OnnxType } from '../export-onnx.ts';
import { prompt, timeTokens, type Runner } from '../turn.ts';
import type { Served } from './main.ts';

type Inputs = Record<string, unknown>;

/** The part of @huggingface/transformers that is used; the package is installed in peers/ only. */
interface Module {
  env: {
    version: string;
    allowLocalModels: boolean;
    remoteHost: string;
    remotePathTemplate: string;
    backends: { onnx: { wasm: { numThreads: number; wasmPaths: string }; versions: { web?: string } } };
  };
  AutoTokenizer: { from_pretrained(id: string): Promise<(text: string) => Inputs> };
  AutoModelForCausalLM: {
    from_pretrained(
      id: string,
      options: { dtype: OnnxType; device: 'wasm' },
    ): Promise<{ generate(options: Inputs): Promise<unknown>; dispose(): Promise<unknown> }>;
  };
}

export async function openTransformers(type: OnnxType, { url, threads }: Served): Promise<Runner> {
  const address = new URL('/transformers/dist/transformers.min.js', location.href).href;
  const { env, AutoTokenizer, AutoModelForCausalLM } = (await import(/* @vite-ignore */ address)) as Module;
  const { href } = new URL('/ort/', location.href);
  env.allowLocalModels = false;
  env.remoteHost = new URL('..', url).href;
  env.remotePathTemplate = '{model}/';
  env.backends.onnx.wasm.wasmPaths = href;
  env.backends.onnx.wasm.numThreads = threads;
  const id = new URL(url).pathname.split('/').findLast((part) => part !== '')!;
  const [tokenizer, model] = await Promise.all([
    AutoTokenizer.from_pretrained(id),
    AutoModelForCausalLM.from_pretrained(id, { dtype: type, device: 'wasm' }),
  ]);
  return {
    description: `transformers.js ${env.version} on ONNX Runtime Web ${env.backends.onnx.versions.web ?? ''}, ${threads} threads`,
    turn: (turn) =>
      timeTokens(
        () => arrivals((streamer) => generate(model, tokenizer(prompt(turn.context)), turn.tokens, streamer)),
        turn,
      ),
    close: async () => void (await model.dispose()),
  };
}

function generate(
  model: { generate(options: Inputs): Promise<unknown> },
  inputs: Inputs,
  tokens: number,
  streamer: { put(value: unknown): void; end(): void },
): Promise<unknown> {
  // As many tokens as asked for, whatever the random weights say of the end.
  return model.generate({
    ...inputs,
    max_new_tokens: tokens,
    min_new_tokens: tokens,
    do_sample: false,
    streamer,
  });
}

/** The times of a streamer's calls, as a stream; the first call is the prompt. */
function arrivals(
  run: (streamer: { put(value: unknown): void; end(): void }) => Promise<unknown>,
): ReadableStream<number> {
  return new ReadableStream({
    start: (controller) => {
      let calls = 0;
      const put = (): void => {
        if (calls++ > 0) controller.enqueue(performance.now());
      };
      run({ put, end: () => undefined }).then(
        () => controller.close(),
        (error: unknown) => controller.error(error),
      );
    },
  });
}
