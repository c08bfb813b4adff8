// Puts the small demo checkpoint and a choice of held-out problems beside the page, in the build and in the dev server.

import { createReadStream } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const MODEL = path.join(root, 'models', 'demo-small');
const TASKS = path.join(root, 'packages', 'eval', 'tasks', 'arithmetic.jsonl');
const MODEL_PREFIX = 'models/demo-small/';

/** Problems offered on the page. */
const OFFERED = 12;

interface Problem {
  id: string;
  question: string;
  answer: string;
}

export function demoFiles(): Plugin {
  return {
    name: 'baton:demo-files',
    async generateBundle() {
      for (const name of await modelFiles())
        this.emitFile({
          type: 'asset',
          fileName: MODEL_PREFIX + name,
          source: await readFile(path.join(MODEL, name)),
        });
      this.emitFile({ type: 'asset', fileName: 'problems.json', source: JSON.stringify(await offered()) });
    },
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const name = (request.url ?? '').split('?')[0]!.slice(1);
        const serve = async (): Promise<boolean> => {
          if (name === 'problems.json') {
            response.setHeader('content-type', 'application/json');
            response.end(JSON.stringify(await offered()));
            return true;
          }
          const file = name.slice(MODEL_PREFIX.length);
          if (!name.startsWith(MODEL_PREFIX) || !(await modelFiles()).includes(file)) return false;
          createReadStream(path.join(MODEL, file)).pipe(response);
          return true;
        };
        serve().then((done) => done || next(), next);
      });
    },
  };
}

async function modelFiles(): Promise<string[]> {
  return (await readdir(MODEL)).filter((name) => !name.endsWith('.md')).sort();
}

/** Mostly problems with a product of two-digit numbers, the step that the small model is not good at, and a few without. */
async function offered(): Promise<Problem[]> {
  let text: string;
  try {
    text = await readFile(TASKS, 'utf8');
  } catch {
    // A checkout without the task file still builds; the page then has a text field and no list.
    return [];
  }
  const all = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const { id, question, answer } = JSON.parse(line) as { id: unknown; question: string; answer: unknown };
      return { id: String(id), question, answer: String(answer) };
    });
  const hard = all.filter(({ question }) => (question.match(/\b\d\d\b/g) ?? []).length >= 2);
  const easy = all.filter((problem) => !hard.includes(problem));
  return [...hard.slice(0, OFFERED - 2), ...easy.slice(0, 2)];
}
