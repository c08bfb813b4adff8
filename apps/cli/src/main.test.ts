// The frame that every command shares, through the command itself: help, versions, wrong usage.
import { spawnSync } from 'node:child_process';
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
    [['solve'], /^baton: missing required argument 'question'\n$/],
    [
      ['generate', '--model', 'demo-small', '--prompt', 'x', '--no-such'],
      /^baton: unknown option '--no-such'\n$/,
    ],
  ])('%j is wrong usage: one line, status 2', (args, line) => {
    const { status, stdout, stderr } = baton(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(line);
  });
});
