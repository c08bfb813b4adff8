// Puts the demo pair and a choice of held-out problems beside the page, in the build and in the dev server.

import { createReadStream } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const MODELS = path.join(root, 'models');
const NAMES = ['demo-small', 'demo-large'];
const TASKS = path.join(root, 'packages', 'eval', 'tasks', 'arithmetic.jsonl');

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
          fileName: `models/${name}`,
          source: await readFile(path.join(MODELS, name)),
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
          const file = name.slice('models/'.length);
          if (!name.startsWith('models/') || !(await modelFiles()).includes(file)) return false;
          createReadStream(path.join(MODELS, file)).pipe(response);
          return true;
        };
        serve().then((done) => done || next(), next);
      });
    },
  };
}

/** Every file that a browser needs, as "demo-small/config.json". */
async function modelFiles(): Promise<string[]> {
  const lists = await Promise.all(
    NAMES.map(async (model) => (await readdir(path.join(MODELS, model))).map((file) => `${model}/${file}`)),
  );
  return lists
    .flat()
    .filter((name) => !name.endsWith('.md'))
    .sort();
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
