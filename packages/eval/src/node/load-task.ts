// Finds a task's problems: a named task that ships with this package, or a JSONL file.

import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { EvalError } from '../eval-error.ts';
import { problemsOrThrow } from '../tasks/problem.ts';
import type { Problem } from '../tasks/problem.ts';

export interface Task {
  name: string;
  problems: Problem[];
  /** SHA-256 over id, question and answer of every problem in order, hexadecimal. */
  sha256: string;
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'is a folder; a task is a .jsonl file of {"id","question","answer"}',
};

const TASKS = fileURLToPath(new URL('../../tasks/', import.meta.url));

/** Names of the tasks that ship with this package. */
export async function taskNames(): Promise<string[]> {
  const files = await readdir(TASKS).catch(() => []);
  return files
    .filter((file) => file.endsWith('.jsonl'))
    .map((file) => basename(file, '.jsonl'))
    .sort();
}

/** @param nameOrFile A shipped task's name, or the path of a .jsonl file of {"id","question","answer"}. */
export async function loadTask(nameOrFile: string): Promise<Task> {
  const isFile = nameOrFile.endsWith('.jsonl') || /[/\\]/.test(nameOrFile);
  const path = isFile ? nameOrFile : join(TASKS, `${nameOrFile}.jsonl`);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (isFile) throw new EvalError(`${path}: ${UNREADABLE[code] ?? (error as Error).message}`);
    throw new EvalError(
      `no task named ${JSON.stringify(nameOrFile)}; known: ${(await taskNames()).join(', ') || 'none'}, or give a FILE.jsonl of {"id","question","answer"}`,
    );
  }
  const problems = problemsOrThrow(text, basename(path));
  return { name: isFile ? basename(path) : nameOrFile, problems, sha256: problemsSha256(problems) };
}

/** Identifies a list of problems, whatever else the file holds. */
export function problemsSha256(problems: readonly Problem[]): string {
  const hash = createHash('sha256');
  for (const { id, question, answer } of problems) hash.update(`${JSON.stringify([id, question, answer])}\n`);
  return hash.digest('hex');
}
