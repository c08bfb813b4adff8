// The frame that every command shares, through the command itself: help, versions, wrong usage.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from './command-list.ts';

const bin = fileURLToPath(new URL('../bin/baton.mjs', import.meta.url));
const baton = (...args: string[]) => spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' });

describe('baton', () => {
  it.each(COMMANDS.map(({ name }) => name))('%s --help ends with 0 and an empty stderr', (name) => {
    const { status, stdout, stderr } = baton(name, '--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`Usage: baton ${name}`);
    expect(stdout).toContain('--json');
  });

  it('lists its commands and its version', () => {
    const help = baton('--help');
    expect(help.status).toBe(0);
    for (const { name, summary } of COMMANDS) {
      expect(help.stdout).toContain(name);
      expect(help.stdout.replace(/\s+/g, ' ')).toContain(summary);
    }
    expect(baton('--version')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it.each([
    [['nonsense'], /^baton: unknown command 'nonsense'\n$/],
    [['score', '--model'], /^baton: option '--model .*' argument missing\n$/],
    [['solve'], /^baton: give the question, or --question-file \(- for standard input\)\n$/],
    [
      ['solve', 'x', '--top-p', '0'],
      /^baton: option '--top-p .*' argument '0' is invalid\. .* above 0, .*\n$/,
    ],
    [['help', 'nonsense'], /^baton: unknown command 'nonsense'\n$/],
    [
      ['generate', '--model', 'demo-small', '--prompt', 'x', '--no-such'],
      /^baton: unknown option '--no-such'\n$/,
    ],
  ])('%j is wrong usage: one line, status 2', (args, line) => {
    const { status, stdout, stderr } = baton(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(line);
  });

  it('takes a prompt as long as the system does, and tells nobody of it', () => {
    const cache = mkdtempSync(path.join(os.tmpdir(), 'baton-cli-cache-'));
    try {
      const words = [
        'generate',
        '--model',
        'demo-small',
        '--target',
        'ort-cpu',
        '--prompt',
        'a'.repeat(100_000),
      ];
      const env = { ...process.env, XDG_CACHE_HOME: cache, HOME: cache };
      const { status, stderr } = spawnSync(process.execPath, [bin, ...words], { encoding: 'utf8', env });
      expect(stderr).toMatch(
        /^baton: the prompt has 100000 tokens and demo-small has 2048 slots; shorten it, or .* --context\n$/,
      );
      expect(status).toBe(1);
      expect(readdirSync(cache)).toEqual(['baton']);
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  });

  it.skipIf(process.platform !== 'linux')('says in one line that a disk is full', () => {
    const words = ['score', '--model', 'demo-small', '--text', 'hi'];
    const stdio = ['ignore', openSync('/dev/full', 'w'), 'pipe'] as const;
    const { status, stderr } = spawnSync(process.execPath, [bin, ...words], {
      encoding: 'utf8',
      stdio: [...stdio],
    });
    expect(stderr).toMatch(/^baton: standard output cannot be written \(ENOSPC.*\)\n$/);
    expect(status).toBe(1);
  });

  it('keeps compiled code in the folder that BATON_HOME names, and nothing in the home', () => {
    const home = mkdtempSync(path.join(os.tmpdir(), 'baton-cli-home-'));
    const { BATON_CACHE: _, XDG_CACHE_HOME: __, ...own } = process.env;
    const env = { ...own, HOME: home, BATON_HOME: path.join(home, 'all') };
    try {
      expect(spawnSync(process.execPath, [bin, '--version'], { env }).status).toBe(0);
      expect(readdirSync(home)).toEqual(['all']);
      expect(readdirSync(path.join(home, 'all', 'cache'))).toEqual(['code']);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  // Node's own recursive mkdir never returns there.
  it.skipIf(process.platform !== 'linux')('does not wait for a cache folder that cannot be made', () => {
    const env = { ...process.env, BATON_CACHE: '/proc/nowhere/cache' };
    const run = spawnSync(process.execPath, [bin, '--version'], { env, timeout: 30_000 });
    expect({ status: run.status, signal: run.signal }).toEqual({ status: 0, signal: null });
  });
});
