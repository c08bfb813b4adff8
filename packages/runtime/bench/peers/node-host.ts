// Node subjects: one process each, asked for turns over its message channel (node-subject.ts). As in the browser, the first
// opening with these models is not the one that is timed: self-tests and file caches belong to it.
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host, Opened } from './compare.ts';
import type { Answer, Request } from './node-subject.ts';
import { openReader } from './page/reader.ts';
import type { Subject } from './subjects.ts';

export async function nodeHost(folder: string, threads: number, slots: number): Promise<Host> {
  let reader: ReturnType<typeof openReader> | undefined;
  return {
    description: `Node ${process.versions.node}`,
    open: async (subject) => {
      const opened = path.join(folder, `${subject.id.replaceAll(' ', '-')}.opened`);
      if (!existsSync(opened)) {
        await (await open(subject, folder, threads, slots)).close();
        await writeFile(opened, '');
      }
      return open(subject, folder, threads, slots);
    },
    read: async (times) => (await (reader ??= openReader(threads)))(times),
    close: async () => undefined,
  };
}

async function open(subject: Subject, folder: string, threads: number, slots: number): Promise<Opened> {
  const child = fork(fileURLToPath(new URL('./node-subject.ts', import.meta.url)), [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let errors = '';
  child.stderr!.on('data', (text: Buffer) => (errors = (errors + text.toString()).slice(-2000)));
  const ask = <K extends Answer['kind']>(
    request: Extract<Request, { kind: K }>,
  ): Promise<Extract<Answer, { kind: K }>> => answered(child, request, () => errors);
  try {
    const { loadMs, description } = await ask({ kind: 'open', subject, folder, threads, slots });
    let peak: number | undefined;
    return {
      loadMs,
      description,
      turn: async (turn) => {
        const { times, peakBytes } = await ask({ kind: 'turn', turn });
        peak = peakBytes;
        return times;
      },
      peakBytes: async () => peak,
      close: async () => {
        child.kill();
      },
    };
  } catch (error) {
    child.kill();
    throw error;
  }
}

function answered<K extends Answer['kind']>(
  child: ChildProcess,
  request: Extract<Request, { kind: K }>,
  errors: () => string,
): Promise<Extract<Answer, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const finish = (end: () => void): void => {
      child.off('message', message);
      child.off('exit', exit);
      end();
    };
    const message = (answer: Answer | { kind: 'error'; message: string }): void =>
      finish(() => {
        if (answer.kind === 'error') reject(new Error(answer.message));
        else resolve(answer as Extract<Answer, { kind: K }>);
      });
    const exit = (code: number | null): void =>
      finish(() => reject(new Error(`the process ended with code ${code}: ${errors().trim()}`)));
    child.on('message', message);
    child.on('exit', exit);
    child.send(request);
  });
}
