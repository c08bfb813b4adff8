// The large model of `baton bench relay`, served over HTTP by a process of its own: what overlaps in real use must not share
// an event loop here. This file is both sides: started as a program it serves, imported it starts that program.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { TargetId } from '@baton/runtime';
import { serveModel } from '@baton/split/bench';
import type { BenchEndpoint } from '@baton/split/bench';

import { openModelArgument } from './model-argument.ts';

type ToServer = { latencyMs: number } | { paceMs: number };

type FromServer = { url: string; id: string } | { done: true } | { error: string };

export interface EndpointProcess extends BenchEndpoint {
  modelId: string;
  close(): Promise<void>;
}

/** Starts the process and resolves when it serves `model` on `target`; rejects with its own words when it cannot. */
export async function startEndpoint(
  model: string,
  target: string,
  threads: number,
): Promise<EndpointProcess> {
  const child = fork(fileURLToPath(import.meta.url), [model, target, String(threads)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const answer = (): Promise<FromServer> =>
    new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error(`the process that served ${model} has ended`));
      child.once('exit', gone);
      child.once('message', (message) => {
        child.removeListener('exit', gone);
        resolve(message as FromServer);
      });
    });
  const ready = await answer();
  if ('error' in ready) throw new Error(ready.error);
  if (!('url' in ready)) throw new Error(`${model} is served without an address`);
  const order = async (what: ToServer): Promise<void> => {
    const done = answer();
    child.send(what);
    await done;
  };
  return {
    url: ready.url,
    modelId: ready.id,
    setLatency: (latencyMs) => order({ latencyMs }),
    setPace: (paceMs) => order({ paceMs }),
    async close() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}

async function serve([argument = '', target = '', threads = '1']: readonly string[]): Promise<void> {
  const tell = (message: FromServer): void => void process.send!(message);
  try {
    const model = await openModelArgument(argument, { target: target as TargetId, threads: Number(threads) });
    const endpoint = await serveModel(model);
    process.on('message', (what: ToServer) => {
      if ('latencyMs' in what) endpoint.setLatency(what.latencyMs);
      else endpoint.setPace(what.paceMs);
      tell({ done: true });
    });
    process.once('disconnect', () => {
      void endpoint
        .close()
        .then(() => model.close?.())
        .then(() => process.exit());
    });
    tell({ url: endpoint.url, id: model.id });
  } catch (error) {
    tell({ error: error instanceof Error ? error.message : String(error) });
    process.disconnect();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(process.argv.slice(2));
