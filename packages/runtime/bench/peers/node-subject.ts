// The process of one Node subject: opens it and takes turns when asked over the message channel.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { openLocal } from '../../src/node/open-local.ts';
import { nodeTargets } from '../../src/node/targets.ts';
import { SHAPES } from '../shapes.ts';
import type { OnnxType } from './export-onnx.ts';
import { modelTurn } from './model-turn.ts';
import { modelPath, onnxFile, type Subject } from './subjects.ts';
import { prompt, timeTokens, type Runner, type Turn, type TurnTimes } from './turn.ts';

interface Open {
  kind: 'open';
  subject: Subject;
  folder: string;
  threads: number;
  slots: number;
}

export type Request = Open | { kind: 'turn'; turn: Turn };
export type Answer =
  | { kind: 'open'; loadMs: number; description: string }
  | { kind: 'turn'; times: TurnTimes; peakBytes: number };

let runner: Runner | undefined;

async function answer(request: Request): Promise<Answer> {
  if (request.kind === 'turn') {
    const times = await runner!.turn(request.turn);
    return { kind: 'turn', times, peakBytes: peakBytes() };
  }
  const start = performance.now();
  runner = await open(request);
  return { kind: 'open', loadMs: performance.now() - start, description: runner.description };
}

async function open({ subject, folder, threads, slots }: Open): Promise<Runner> {
  const file = `${folder}/${modelPath(subject)}`;
  if (subject.runtime === 'baton') {
    const model = await openLocal(file, {
      target: subject.target,
      targets: nodeTargets({ threads }),
      fallback: false,
    });
    return {
      description: model.backend.description,
      turn: (turn) => modelTurn(model, turn),
      close: () => model.close(),
    };
  }
  if (subject.runtime === 'node-llama-cpp') return openLlama(file, threads, slots);
  if (subject.runtime === 'onnxruntime-node') return openOnnx(subject.type, file, threads);
  throw new Error(`${subject.runtime} is not for Node`);
}

/** Most memory held, in bytes. From /proc where there is one: maxRSS begins with that of the process that forked. */
function peakBytes(): number {
  try {
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // No /proc on this system.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/** The part of node-llama-cpp that is used; the package is installed in peers/ only. */
interface LlamaModule {
  getLlama(options: object): Promise<{
    llamaCppRelease: { release: string };
    loadModel(options: object): Promise<{
      tokenize(text: string): number[];
      createContext(options: object): Promise<{
        getSequence(): {
          clearHistory(): Promise<void>;
          evaluate(tokens: number[], options: object): AsyncIterable<number>;
        };
      }>;
      dispose(): Promise<void>;
    }>;
  }>;
}

async function openLlama(file: string, threads: number, slots: number): Promise<Runner> {
  const name = 'node-llama-cpp';
  const { getLlama } = (await import(name)) as LlamaModule;
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads });
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: slots, threads });
  const sequence = context.getSequence();
  return {
    description: `llama.cpp ${llama.llamaCppRelease.release}, ${threads} threads`,
    turn: async (turn) => {
      await sequence.clearHistory();
      const tokens = model.tokenize(prompt(turn.context));
      if (tokens.length !== turn.context)
        throw new Error(`a prompt of ${turn.context} became ${tokens.length} tokens`);
      return timeTokens(async function* () {
        let left = turn.tokens;
        for await (const _ of sequence.evaluate(tokens, { temperature: 0 })) {
          yield performance.now();
          if (--left === 0) return;
        }
      }, turn);
    },
    close: () => model.dispose(),
  };
}

interface OrtTensor {
  data: Float32Array;
  dims: readonly number[];
}
interface OrtModule {
  env: { versions: { node?: string } };
  InferenceSession: {
    create(
      file: string,
      options: object,
    ): Promise<{
      inputNames: readonly string[];
      run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
      release(): Promise<void>;
    }>;
  };
  Tensor: new (type: string, data: BigInt64Array | Float32Array, dims: number[]) => OrtTensor;
}

/** The plain loop around such a model: present keys and values go in again as past ones. */
async function openOnnx(type: OnnxType, folder: string, threads: number): Promise<Runner> {
  // Through require: the package is CommonJS and the copy beside the peers may be another one than the workspace's.
  const { env, InferenceSession, Tensor } = createRequire(import.meta.url)('onnxruntime-node') as OrtModule;
  const session = await InferenceSession.create(onnxFile(folder, type), {
    intraOpNumThreads: threads,
  });
  const int64 = (values: number[]): OrtTensor =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const past = session.inputNames.filter((name) => name.startsWith('past_key_values'));
  const shape = Object.values(SHAPES).find((s) => s.layers * 2 === past.length)!;
  async function* generate(tokens: number[], count: number): AsyncGenerator<number> {
    let fresh = tokens;
    let held = 0;
    let cache: Record<string, OrtTensor> = Object.fromEntries(
      past.map((name) => [
        name,
        new Tensor('float32', new Float32Array(0), [1, shape.keyValueHeads, 0, shape.headWidth]),
      ]),
    );
    for (let i = 0; i < count; i++) {
      held += fresh.length;
      const { logits, ...present } = await session.run({
        input_ids: int64(fresh),
        attention_mask: int64(Array.from({ length: held }, () => 1)),
        num_logits_to_keep: new Tensor('int64', BigInt64Array.of(1n), []),
        ...cache,
      });
      cache = Object.fromEntries(
        Object.entries(present).map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
      );
      fresh = [argmax(logits!.data)];
      yield performance.now();
    }
  }
  return {
    description: `onnxruntime-node ${env.versions.node ?? ''}, ${threads} threads`,
    turn: (turn) => {
      const tokens = Array.from(prompt(turn.context), (c) => c.charCodeAt(0));
      return timeTokens(() => generate(tokens, turn.tokens), turn);
    },
    close: () => session.release(),
  };
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

process.on('message', (request: Request) => {
  answer(request).then(
    (reply) => process.send!(reply),
    (error: Error) => process.send!({ kind: 'error', message: error.message }),
  );
});
