// `baton solve` as a person runs it, with the demo pair and with endpoints that do not behave: exit codes, what is on which
// stream, and a trace that is there whatever happened.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { auditTrace } from '@baton/split';
import type { Trace } from '@baton/split';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  event,
  faultServer,
  finish,
  json,
  silence,
  status,
  stream,
} from '../../../../packages/split/test/fault-server.ts';
import type { FaultServer, Script } from '../../../../packages/split/test/fault-server.ts';

const BATON = fileURLToPath(new URL('../../bin/baton.mjs', import.meta.url));
/** One that demo-small hands off. */
const QUESTION =
  'Ruth cycles 43 miles a day for 84 days and then walks 2 miles a day for 3 days. How many miles is that?';

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
  trace(): Trace;
}

let folder = '';
const servers: FaultServer[] = [];
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'baton-solve-'));
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await rm(folder, { recursive: true, force: true });
});

async function serve(...scripts: Script[]): Promise<string> {
  const server = await faultServer(...scripts);
  servers.push(server);
  return server.url;
}

interface RunOptions {
  env?: Record<string, string>;
  /** Called with the process once it has written something on stdout. */
  onOutput?: (kill: (signal: NodeJS.Signals) => void) => void;
  /** The same on stderr. */
  onError?: (kill: (signal: NodeJS.Signals) => void) => void;
}

function solve(words: readonly string[], { env, onOutput, onError }: RunOptions = {}): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [BATON, 'solve', ...words], { env: { ...process.env, ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => {
      if (stdout === '') onOutput?.((signal) => child.kill(signal));
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      if (stderr === '') onError?.((signal) => child.kill(signal));
      stderr += data.toString();
    });
    child.once('close', (code) =>
      resolve({ code, stdout, stderr, trace: () => JSON.parse(stdout) as Trace }),
    );
  });
}

/** One line, for people, without a stack. */
function oneLine(run: Run, what: RegExp): void {
  expect(run.stderr).toMatch(what);
  expect(run.stderr.trim().split('\n')).toHaveLength(1);
  expect(run.stderr).toMatch(/^baton: /);
}

describe('the demo pair', () => {
  it('answers, and writes the same trace to the file', async () => {
    const out = path.join(folder, 'new', 'trace.json');
    const run = await solve([QUESTION, '--json', '--out', out]);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    const trace = run.trace();
    expect(auditTrace(trace)).toEqual([]);
    expect(trace).toMatchObject({ schema: 'baton.trace/1', stopReason: 'end', answer: '3618' });
    expect(trace.totals.largeTokens).toBeGreaterThan(0);
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(trace);
    expect(await readdir(path.dirname(out))).toEqual(['trace.json']);
  });

  it('shows who wrote what on a terminal without colours', async () => {
    const run = await solve([QUESTION]);
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/⟦[^⟧]+⟧/);
    expect(run.stdout).toMatch(/answer 3618 · demo-small .* in 1 span, /);
  });

  it('stops on Ctrl-C with the trace so far, and leaves no half-written file', async () => {
    const out = path.join(folder, 'stopped.json');
    const url = await serve(silence);
    const run = await solve(
      [QUESTION, '--large', url, '--large-model', 'm', '--preset', 'vllm', '--out', out],
      {
        onOutput: (kill) => setTimeout(() => kill('SIGINT'), 500),
      },
    );
    expect(run.code).toBe(130);
    oneLine(run, /stopped/);
    const trace = JSON.parse(await readFile(out, 'utf8')) as Trace;
    expect(trace.stopReason).toBe('aborted');
    expect(auditTrace(trace)).toEqual([]);
  });
});

describe('an endpoint that nobody has seen before', () => {
  const spanOf = (trace: Trace): string =>
    trace.segments
      .filter((s) => s.origin === 'large')
      .map((s) => s.text)
      .join('');
  const words = (...more: string[]): string[] => [QUESTION, '--json', '--large-model', 'm', ...more];

  it('is found out and used, with the key from the environment', async () => {
    const seen: (string | undefined)[] = [];
    const url = await serve((response, body, request) => {
      seen.push(request.headers.authorization);
      stream(['3200+240+', '172=3612'])(response, body, request);
    });
    const run = await solve(words('--large', url, '--api-key-env', 'SOME_KEY'), { env: { SOME_KEY: 'k-1' } });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(spanOf(run.trace())).toContain('3200+240+');
    expect(new Set(seen)).toEqual(new Set(['Bearer k-1']));
    expect(run.stdout).not.toContain('k-1');
  });

  it.each<[string, () => Promise<string>, RegExp]>([
    ['refuses connections', async () => 'http://127.0.0.1:1/v1', /refused|request failed/],
    ['has no address', async () => 'http://no-such-host.invalid/v1', /host name not found/],
    ['refuses the key', () => serve(status(401)), /check the API key/],
    ['always fails', () => serve(status(500)), /server failed \(HTTP 500\)/],
    ['is a web page', () => serve((response) => response.end('<html>hello</html>')), /a web page/],
    ['sends nonsense', () => serve(stream([], (response) => response.end('data: {{\n\n'))), /not JSON/],
    [
      'breaks off in the middle',
      () =>
        serve(
          stream(['ok'], finish),
          stream(['3200+'], (response) => response.end()),
        ),
      /ended in the middle/,
    ],
  ])('that %s: the small model answers, exit 0, one line says why', async (_, url, why) => {
    const run = await solve(words('--large', await url()));
    expect(run.code).toBe(0);
    oneLine(run, why);
    const trace = run.trace();
    expect(auditTrace(trace)).toEqual([]);
    expect(trace.stopReason).toBe('end');
    expect(trace.answer).not.toBeNull();
    expect(trace.notes.join('\n')).toMatch(why);
  });

  it('that never answers holds nobody past the deadline', async () => {
    const started = performance.now();
    const run = await solve(words('--large', await serve(silence), '--max-seconds', '3'));
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(run.code).toBe(0);
    expect(run.trace().stopReason).toBe('budget');
  });

  it('that is dead is replaced by the next one', async () => {
    const url = await serve(stream(['3200+240+', '172=3612']));
    const run = await solve(words('--large', 'http://127.0.0.1:1/v1', '--large', url));
    expect(run.code).toBe(0);
    expect(run.trace().notes.join('\n')).toMatch(/went on with the next endpoint/);
    expect(spanOf(run.trace())).toContain('3200+240+');
  });

  it('whose answer is filtered fails the large-only arm, with what was written', async () => {
    const filtered = stream(['3200+'], (response) => response.end(event('', 'content_filter')));
    const url = await serve(stream(['ok']), filtered);
    const run = await solve(words('--large', url, '--policy', 'large'));
    expect(run.code).toBe(1);
    oneLine(run, /large endpoint failed: http.*ended the answer \(content_filter\)/);
    expect(run.trace()).toMatchObject({ stopReason: 'error', text: '3200+' });
  });

  it('that is dead fails the large-only arm, with the trace', async () => {
    const run = await solve(words('--large', 'http://127.0.0.1:1/v1', '--policy', 'large'));
    expect(run.code).toBe(1);
    oneLine(run, /large endpoint failed/);
    expect(run.trace().stopReason).toBe('error');
  });
});

describe('a small model at an address', () => {
  it('that tells no log-probabilities is refused with one line', async () => {
    const url = await serve((response) =>
      json(response, 200, { choices: [{ text: 'ok', finish_reason: 'length' }] }),
    );
    const run = await solve([QUESTION, '--small', url, '--policy', 'small']);
    expect(run.code).toBe(1);
    oneLine(run, /cannot be the small model: it gives no log-probabilities/);
    expect(run.stdout).toBe('');
  });

  describe('that stays silent', () => {
    let url = '';
    const deaf = createServer((socket) => socket.on('error', () => undefined));
    beforeAll(async () => {
      await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}/v1`;
    });
    afterAll(() => deaf.close());

    it('is told while it is waited for, and given up soon where it is this machine', async () => {
      const run = await solve([QUESTION, '--small', url, '--policy', 'small']);
      expect(run.code).toBe(1);
      expect(run.stderr.trim().split('\n')).toEqual([
        `baton: waiting for ${url} to answer`,
        `baton: ${url}: nothing was answered for 5 s; is the address right?`,
      ]);
      expect(run.stdout).toBe('');
    });

    it('can be left with Ctrl-C', async () => {
      const run = await solve([QUESTION, '--small', url, '--policy', 'small'], {
        onError: (kill) => kill('SIGINT'),
      });
      expect(run.code).toBe(130);
      expect(run.stderr).toBe(
        `baton: waiting for ${url} to answer\nbaton: stopped before anything was written\n`,
      );
    });
  });
});

describe('bad input', () => {
  it.each<[string, string[], number, RegExp]>([
    ['a policy nobody knows', ['--policy', 'clever'], 1, /unknown policy "clever"; known: small/],
    ['a policy parameter out of range', ['--policy', 'random:7'], 1, /ratio must be a number from 0 to 1/],
    ['an address that is none', ['--large', 'http://'], 1, /is not an address/],
    ['a key variable that is empty', ['--large', 'http://x', '--api-key-env', 'NOT_SET'], 1, /NOT_SET/],
    ['a preset nobody knows', ['--large', 'http://x', '--preset', 'nobody'], 2, /preset/],
    ['a budget in words', ['--max-tokens', 'many'], 2, /whole number/],
    ['money without prices', ['--max-cost', '1'], 2, /--max-cost needs --prices/],
    ['a folder to write to', ['--out', tmpdir()], 1, /is a folder/],
    ['a model that is not there', ['--small', 'nowhere'], 1, /no model at nowhere/],
    [
      'a small model’s address that is dead',
      ['--small', 'http://127.0.0.1:1/v1'],
      1,
      /refused|request failed/,
    ],
    ['an empty question', [], 1, /question is empty/],
  ])('%s: one line', async (name, more, code, what) => {
    const run = await solve([name === 'an empty question' ? ' ' : QUESTION, ...more]);
    expect(run.code).toBe(code);
    oneLine(run, what);
    expect(run.stdout).toBe('');
  });

  it('a place that takes no file is refused before anything runs', async () => {
    const file = path.join(folder, 'file');
    await writeFile(file, '');
    const run = await solve([QUESTION, '--out', path.join(file, 'trace.json')]);
    expect(run.code).toBe(1);
    oneLine(run, /--out/);
    expect(run.stdout).toBe('');
  });
});
