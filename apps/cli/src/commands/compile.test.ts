// `baton compile` as a person runs it, on the compiler's fixtures.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it, vi } from 'vitest';

const root = path.resolve(import.meta.dirname, '../../../..');
const fixture = path.join(root, 'packages/compiler/test/fixtures/qwen2');
const folder = mkdtempSync(path.join(os.tmpdir(), 'baton-cli-compile-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function command(...words: string[]) {
  const bin = path.join(root, 'apps/cli/bin/baton.mjs');
  return spawnSync(process.execPath, [bin, ...words], { encoding: 'utf8' });
}

const baton = (...words: string[]) => command('compile', ...words);

it('compiles a folder and reports sizes and errors as JSON', () => {
  const out = path.join(folder, 'model');
  const options = [
    '--context',
    '64,128',
    '--chunk',
    '16',
    '--weights',
    'int4',
    '--group',
    '16',
    '--keep',
    '.down=int8',
    '--keep-above',
    '0.2',
  ];
  const run = baton(fixture, '--out', out, ...options, '--layers-per-graph', '2', '--id', 'tiny', '--json');
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  const result = JSON.parse(run.stdout);
  expect(result).toMatchObject({ out, id: 'tiny', family: 'qwen2', parameters: 68208 });
  expect(result.layerErrors.map((e: { part: string }) => e.part)).toEqual([
    'layers.0',
    'layers.1',
    'layers.2',
    'head',
  ]);
  expect(result.keptWider).toEqual([
    { tensor: 'layers.0.down', type: 'int8' },
    { tensor: 'layers.1.down', type: 'int8' },
    { tensor: 'layers.2.down', type: 'int8' },
    { tensor: 'head', type: 'int8' },
    { tensor: 'embedding', type: 'int8' },
  ]);
  const manifest = JSON.parse(readFileSync(path.join(out, 'baton.json'), 'utf8'));
  expect(manifest).toMatchObject({
    id: 'tiny',
    capacities: [64, 128],
    chunk: 16,
    weights: 'int4',
    group: 16,
    layersPerGraph: 2,
  });
  expect(manifest.tensors['layers.0.down'].dtype).toBe('int8');
});

it('compiles every form of boundary and cache to the same numbers', () => {
  const ids = '5,9,17,33,65,100,3,4,8,77,21,50,90,12,61,18,40,7';
  const scores = ['rows f32', 'whole f32', 'whole f16'].map((form) => {
    const [update, boundary] = form.split(' ') as [string, string];
    const out = path.join(folder, form.replace(' ', '-'));
    const size = ['--context', '64', '--chunk', '16', '--layers-per-graph', '2'];
    const run = baton(fixture, '--out', out, ...size, '--cache-update', update, '--boundary', boundary);
    expect(run.stderr).toBe('');
    const scored = command('score', '--model', out, '--ids', ids, '--target', 'ort-cpu', '--json');
    expect(scored.stderr).toBe('');
    return (JSON.parse(scored.stdout) as { logprob: number }[]).slice(1).map((s) => s.logprob);
  });
  const [rows, whole, half] = scores as [number[], number[], number[]];
  rows.forEach((logprob, i) => {
    expect(whole[i]).toBeCloseTo(logprob, 4);
    expect(Math.abs(half[i]! - logprob)).toBeLessThan(0.1);
  });
  expect(half).not.toEqual(rows);
});

it('prints one line and leaves nothing when it fails', () => {
  const out = path.join(folder, 'none');
  for (const [words, message] of [
    [[path.join(folder, 'absent')], /no folder .*absent, and it is neither a URL nor an id/],
    [[folder], /no config\.json; a Hugging Face checkpoint is needed/],
    [[fixture, '--chunk', '99', '--context', '64'], /chunk 99 is longer than the smallest context/],
    [[fixture, '--epsilon-floor', ''], /--epsilon-floor.* is invalid\. a number is needed/],
    [[fixture, '--keep-above', 'much'], /--keep-above.* is invalid\. a number is needed/],
  ] as const) {
    const run = baton(...words, '--out', out);
    expect(run.status).not.toBe(0);
    expect(run.stderr.trim()).toMatch(message);
    expect(run.stderr.trim()).not.toContain('\n');
    expect(existsSync(out)).toBe(false);
  }
});

it.each([
  ['tokenizer.json', '', /tokenizer\.json is not JSON \(it is empty\)/],
  ['tokenizer.json', '{"model": ', /tokenizer\.json is not JSON/],
  ['tokenizer.json', 'null', /tokenizer\.json must hold a JSON object/],
  ['tokenizer.json', '{}', /tokenizer\.json cannot be used/],
  ['tokenizer_config.json', '[]', /tokenizer_config\.json must hold a JSON object/],
  ['tokenizer_config.json', '{,}', /tokenizer_config\.json is not JSON/],
])('refuses a checkpoint whose %s holds %j before it compiles', (name, text, message) => {
  const checkpoint = mkdtempSync(path.join(folder, 'broken-'));
  for (const file of readdirSync(fixture))
    copyFileSync(path.join(fixture, file), path.join(checkpoint, file));
  writeFileSync(path.join(checkpoint, name), text);
  const out = path.join(folder, 'of-broken');
  const run = baton(checkpoint, '--out', out, '--context', '64', '--chunk', '16');
  expect(run.stderr.trim()).toMatch(message);
  expect(run.stderr.trim()).not.toContain('\n');
  expect(run.status).toBe(1);
  expect(existsSync(out)).toBe(false);
});

// A limit on the size of files fails a write half-way as a full disk does, with the system's own error.
it.skipIf(process.platform === 'win32')('leaves nothing behind when the system refuses to write on', () => {
  const place = path.join(folder, 'limited');
  mkdirSync(place);
  const bin = path.join(root, 'apps/cli/bin/baton.mjs');
  const words = [
    bin,
    'compile',
    fixture,
    '--out',
    path.join(place, 'model'),
    '--context',
    '64',
    '--chunk',
    '16',
  ];
  const limited = ['-c', 'ulimit -f 128; exec "$@"', 'sh', process.execPath, ...words];
  const run = spawnSync('sh', limited, { encoding: 'utf8' });
  expect(run.status).not.toBe(0);
  expect(run.stderr.trim()).toMatch(/^baton: cannot write weights\.bin: EFBIG.*nothing was kept/);
  expect(run.stderr.trim()).not.toContain('\n');
  expect(readdirSync(place)).toEqual([]);
});

it.skipIf(process.platform === 'win32').each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'leaves nothing behind when it is ended by %s',
  async (signal) => {
    const place = mkdtempSync(path.join(folder, 'ended-'));
    // Gives everything but the weights themselves, which lie behind the header.
    const server = createServer((request, response) => {
      const file = path.join(fixture, path.basename(request.url!));
      if (!existsSync(file)) return response.writeHead(404).end();
      const whole = readFileSync(file);
      const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
      if (first === undefined) return response.end(whole);
      const begin = Number(first);
      const end = Math.min(last ? Number(last) + 1 : whole.length, whole.length);
      response.writeHead(206, {
        'content-length': end - begin,
        'content-range': `bytes ${begin}-${end - 1}/${whole.length}`,
      });
      const headerBytes = 8 + Number(whole.readBigUInt64LE());
      if (file.endsWith('.safetensors') && end > headerBytes + 4096) return response.flushHeaders();
      return response.end(whole.subarray(begin, end));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    try {
      const { port } = server.address() as AddressInfo;
      const bin = path.join(root, 'apps/cli/bin/baton.mjs');
      const words = [bin, 'compile', `http://127.0.0.1:${port}`, '--out', path.join(place, 'model')];
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.on('data', (piece) => (stderr += String(piece)));
      await vi.waitUntil(() => readdirSync(place).length > 0 || child.exitCode !== null, { timeout: 20_000 });
      expect(stderr).toBe('');
      child.kill(signal);
      const [code] = (await once(child, 'close')) as [number | null];
      expect(code).toBe(130);
      expect(stderr.trim()).toBe('baton: stopped; nothing was kept');
      expect(readdirSync(place)).toEqual([]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);

it('compiles a Hugging Face id from the hub that HF_ENDPOINT names', async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`);
    const { pathname } = new URL(request.url!, 'http://hub');
    const file = path.join(fixture, path.basename(pathname));
    if (pathname === '/api/models/tiny/qwen2/tree/v2') {
      const entries = readdirSync(fixture).map((name) => {
        return { type: 'file', path: name, oid: '0', size: statSync(path.join(fixture, name)).size };
      });
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(entries));
      return;
    }
    const whole = readFileSync(file);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [from, to] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, whole.length];
    const part = whole.subarray(from, to);
    response
      .writeHead(range ? 206 : 200, {
        etag: `"${path.basename(file)}"`,
        'content-length': part.length,
        'content-range': `bytes ${from}-${from + part.length - 1}/${whole.length}`,
      })
      .end(part);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    const { port } = server.address() as AddressInfo;
    const bin = path.join(root, 'apps/cli/bin/baton.mjs');
    const out = path.join(folder, 'from-hub');
    const words = [
      'tiny/qwen2',
      '--revision',
      'v2',
      '--out',
      out,
      '--context',
      '64',
      '--chunk',
      '16',
      '--json',
    ];
    const env = { ...process.env, HF_ENDPOINT: `http://127.0.0.1:${port}/`, HF_TOKEN: 'hf_secret' };
    const { stdout } = await promisify(execFile)(process.execPath, [bin, 'compile', ...words], { env });
    expect(JSON.parse(stdout)).toMatchObject({ id: 'qwen2', family: 'qwen2', parameters: 68208 });
    expect(seen.length).toBeGreaterThan(3);
    for (const request of seen) expect(request).toMatch(/Bearer hf_secret$/);
    expect(seen.some((request) => request.includes('/resolve/v2/model.safetensors'))).toBe(true);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

it('scores token ids of a checkpoint that has no tokenizer, and says so where text is needed', () => {
  const out = path.join(folder, 'ids');
  expect(baton(fixture, '--out', out, '--context', '64', '--chunk', '16').status).toBe(0);
  const { prompt } = JSON.parse(readFileSync(path.join(fixture, 'reference.json'), 'utf8')) as {
    prompt: number[];
  };
  const logits = new Float32Array(
    new Uint8Array(readFileSync(path.join(fixture, 'reference.bin'))).buffer.slice(
      0,
      prompt.length * 128 * 4,
    ),
  );
  for (const target of ['ort-cpu', 'wasm-simd']) {
    const run = command('score', '--model', out, '--ids', prompt.join(), '--target', target, '--json');
    expect(run.stderr).toBe('');
    const scored = JSON.parse(run.stdout) as { id: number; logprob: number | null }[];
    expect(scored.map((s) => s.id)).toEqual(prompt);
    expect(scored[0]!.logprob).toBe(null);
    for (const [at, { id, logprob }] of scored.entries()) {
      if (logprob === null) continue;
      const row = logits.subarray((at - 1) * 128, at * 128);
      const expected = row[id]! - Math.log(row.reduce((n, x) => n + Math.exp(x), 0));
      expect(logprob).toBeCloseTo(expected, 2);
    }
  }
  const text = command('score', '--model', out, '--text', 'hello');
  expect(text.status).not.toBe(0);
  expect(text.stderr.trim()).toMatch(/there is no tokenizer\.json in the model.*or give token ids$/);
});
