// npm as Windows has it, with a script in npm's place that says what it was given.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { npmCommand } from './npm-command.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton npm & more-'));
  const script = path.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js');
  mkdirSync(path.dirname(script), { recursive: true });
  writeFileSync(script, 'console.log(JSON.stringify(process.argv.slice(2)))');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('gets its arguments as they are, blanks and signs of the shell included', () => {
  const search = ['nowhere', folder].join(path.delimiter);
  const [program, ...first] = npmCommand('win32', search);
  const args = ['install', '--prefix', 'C:\\Program Files\\a & b %PATH%', '^1.0 | "x"'];
  const done = spawnSync(program, [...first, ...args], { encoding: 'utf8' });
  expect(JSON.parse(done.stdout)).toEqual(args);
});

it('that is not there is said so', () => {
  expect(() => npmCommand('win32', 'nowhere')).toThrow(/npm cannot be found in PATH/);
});

it('elsewhere is the program of that name', () => {
  expect(npmCommand('linux')).toEqual(['npm']);
});
