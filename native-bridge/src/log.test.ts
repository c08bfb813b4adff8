// The log: what it holds and what it never holds, and that it stays small.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiError } from './api-error.ts';
import { lineLog, rotatingFile } from './log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a file that is full moves on, the oldest of those kept is dropped, and no line is lost in between', () => {
  const file = path.join(folder, 'deep', 'bridge.log');
  const write = rotatingFile(file, 1000, 2);
  for (let i = 0; i < 100; i++) write(`line ${i} ${'x'.repeat(40)}`);
  expect(readdirSync(path.dirname(file)).sort()).toEqual(['bridge.log', 'bridge.log.1', 'bridge.log.2']);
  const lines = ['.2', '.1', ''].flatMap((end) =>
    readFileSync(file + end, 'utf8')
      .trim()
      .split('\n'),
  );
  const numbers = lines.map((line) => Number(line.split(' ')[1]));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 100 - numbers.length + i));
  for (const end of ['', '.1', '.2']) expect(statSync(file + end).size).toBeLessThanOrEqual(1000);
});

test('a place that takes no file is refused at once with one line, and no folder is begun there', () => {
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  for (const [place, why] of [
    [path.join(file, 'below', 'bridge.log'), /file is no folder/],
    [folder, /EISDIR/],
    // Node's own recursive mkdir never comes back from here.
    ...(process.platform === 'linux' ? ([['/proc/below/bridge.log', /\/proc\/below/]] as const) : []),
  ] as const) {
    expect(() => rotatingFile(place)).toThrow(why);
    expect(() => rotatingFile(place)).toThrow(/^the log file .* cannot be written \(.*\); name another$/);
  }
  expect(readdirSync(folder)).toEqual(['file']);
});

test.skipIf(process.platform === 'win32')('only the owner can read it', () => {
  const file = path.join(folder, 'state', 'bridge.log');
  rotatingFile(file)('x');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
});

test('an error of unknown origin, which may quote a prompt, is named by its kind and place only', () => {
  const lines: string[] = [];
  const log = lineLog((line) => lines.push(line));
  log.error(new TypeError('cannot read "my secret prompt"'));
  log.error(new ApiError(500, 'the model failed\nhere'));
  log.error('a string');
  expect(lines[0]).toMatch(/error: TypeError at /);
  expect(lines.join('\n')).not.toContain('secret');
  expect(lines[1]).toContain('ApiError: the model failed here');
  expect(lines).toHaveLength(3);
});
