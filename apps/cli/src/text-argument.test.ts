// Texts from the command line, from files and from standard input, through the commands that take them.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const bin = fileURLToPath(new URL('../bin/baton.mjs', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'baton-cli-text-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const baton = (words: readonly string[], input = '') =>
  spawnSync(process.execPath, [bin, ...words], { encoding: 'utf8', input });
const SCORE = ['score', '--model', 'demo-small', '--json'];
const GENERATE = ['generate', '--model', 'demo-small', '--max-tokens', '4', '--json'];
const SOLVE = ['solve', '--policy', 'small', '--max-tokens', '4', '--json'];

it.each<[string[], string, string]>([
  [SCORE, '--text', '--text-file'],
  [GENERATE, '--prompt', '--prompt-file'],
  [SOLVE, '--', '--question-file'],
])('%j takes the same text from a file and from standard input', (words, option, fileOption) => {
  const text = 'What is 7 + 8?\nÄ 東 last';
  const file = path.join(folder, 'text.txt');
  writeFileSync(file, `${text}\n`);
  const written = (more: string[], input?: string): unknown => {
    const { status, stdout, stderr } = baton([...words, ...more], input);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const result = JSON.parse(stdout) as { prompt?: string; text?: string };
    // Of a trace only what was asked and written; its times differ.
    return result.prompt === undefined ? result : [result.prompt, result.text];
  };
  const typed = written([option, text]);
  expect(written([fileOption, file])).toEqual(typed);
  expect(written([fileOption, '-'], text)).toEqual(typed);
});

it.each<[string, () => string[], number, RegExp]>([
  [
    'both',
    () => [...GENERATE, '--prompt', 'a', '--prompt-file', '-'],
    2,
    /--prompt and --prompt-file exclude/,
  ],
  ['neither', () => GENERATE, 2, /give --prompt, or --prompt-file/],
  ['neither of three', () => SCORE, 2, /give --text or --ids, or --text-file/],
  ['ids beside a file', () => [...SCORE, '--ids', '1', '--text-file', '-'], 2, /cannot be used with/],
  ['an empty prompt', () => [...GENERATE, '--prompt', ''], 2, /the prompt is empty/],
  ['an empty file', () => [...GENERATE, '--prompt-file', '-'], 2, /the prompt is empty/],
  ['a file that is not there', () => [...SOLVE, '--question-file', path.join(folder, 'no')], 1, /ENOENT/],
  [
    'a folder',
    () => (mkdirSync(path.join(folder, 'folder')), [...SCORE, '--text-file', path.join(folder, 'folder')]),
    1,
    /--text-file .*folder: cannot be read as text/,
  ],
  [
    'bytes',
    () => (
      writeFileSync(path.join(folder, 'bytes'), Uint8Array.of(0xff, 0xfe, 0x80)),
      [...SCORE, '--text-file', path.join(folder, 'bytes')]
    ),
    1,
    /cannot be read as text/,
  ],
])('refuses %s with one line', (_, words, code, line) => {
  const { status, stdout, stderr } = baton(words());
  expect({ status, stdout }).toEqual({ status: code, stdout: '' });
  expect(stderr).toMatch(line);
  expect(stderr.trim()).not.toContain('\n');
});
