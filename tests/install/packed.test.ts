// The packed archive, installed and used as a person does: install, start, ask, pair, revoke, update, stop, uninstall.
// With no network but loopback all the way, and no service manager, so that nothing is registered on this machine.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alive } from '@baton/runtime/process-alive';
import { Installed } from './installed.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

let installed: Installed;
beforeAll(() => {
  installed = Installed.create();
}, 600_000);
afterAll(async () => {
  await installed?.run(['stop', '--all']);
  installed?.remove();
});

interface Status {
  installed: string | null;
  running: { url: string; model: string; version: string; answers: boolean; pid: number; service: boolean }[];
}
const status = (): Promise<Status> => installed.json<Status>('status');

const post = (url: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

describe('the archive', () => {
  test('holds the program as plain JavaScript, the page, the demo models and the licences, and no sources', () => {
    const files = readdirSync(installed.package, { recursive: true }).map(String);
    expect(files.filter((name) => name.endsWith('.ts'))).toEqual([]);
    for (const name of [
      'README.md',
      'dist/LICENSE',
      'dist/THIRD-PARTY-LICENSES.txt',
      'dist/app/index.html',
      'dist/models/demo-small/model.safetensors',
      'dist/models/demo-large/model.safetensors',
      'dist/packages/runtime/src/targets/wasm-simd/worker.js',
      'dist/packages/runtime/src/targets/wasm-simd/wasm/relaxed-shared.wasm',
    ])
      expect(files.map((one) => one.replaceAll('\\', '/'))).toContain(name);
    expect(readFileSync(path.join(installed.package, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8')).toMatch(
      /^hono /m,
    );
  });

  test('imports nothing that npm does not install with it', () => {
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(path.join(installed.package, 'package.json'), 'utf8'),
    ) as Record<string, object>;
    const known = new Set([...Object.keys({ ...dependencies, ...optionalDependencies }), ...builtinModules]);
    const program = path.join(installed.package, 'dist');
    const foreign = readdirSync(program, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.js') && !name.startsWith('app'))
      .flatMap((name) => {
        const code = readFileSync(path.join(program, name), 'utf8');
        const static_ = [...code.matchAll(/^(?:import|export)\b[^'"\n]*?["']([^.'"][^'"]*)["'];?$/gm)];
        const dynamic = [...code.matchAll(/\bimport\("([^."][^"]*)"\)/g)];
        return [...static_, ...dynamic].map((match) => `${match[1]} in ${name}`);
      })
      .filter((one) => {
        const [from = ''] = one.split(' in ');
        return (
          !from.startsWith('node:') && !known.has(from.split('/', from.startsWith('@') ? 2 : 1).join('/'))
        );
      });
    expect(foreign).toEqual([]);
  });

  test('runs: version, help, doctor', async () => {
    const { version } = JSON.parse(readFileSync(path.join(installed.package, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect((await installed.run(['--version'])).stdout.trim()).toBe(version);
    const help = (await installed.run(['--help'])).stdout;
    for (const name of ['serve', 'install', 'start', 'stop', 'status', 'logs', 'update', 'uninstall', 'pair'])
      expect(help).toMatch(new RegExp(`^  ${name} `, 'm'));
    const report = await installed.json<{ targets: { target: string; available: boolean }[] }>('doctor');
    expect(report.targets.find((one) => one.target === 'ort-cpu')?.available).toBe(true);
  });

  test('compiles for an OpenVINO device in its own child process', async () => {
    // The bridge of the package, with the repository's double of openvino-node in place of the binary.
    const at = (file: string): string => JSON.stringify(pathToFileURL(file).href);
    const double = path.join(root, 'native-bridge', 'test', 'openvino-double', 'index.ts');
    const sources = path.join(installed.package, 'dist', 'native-bridge', 'src', 'openvino');
    const script = `
      import { readFileSync } from 'node:fs';
      import { openvinoTargets } from ${at(path.join(sources, 'targets.js'))};
      import { DirectoryFiles } from '@baton/compiler/node';
      import { addon, MODULE } from ${at(double)};
      const facts = { get: async () => undefined, set: async () => undefined };
      const lines = [];
      const targets = openvinoTargets({ facts, addon: { addon, module: MODULE }, onProgress: (line) => lines.push(line) });
      const [, model] = process.argv;
      const manifest = JSON.parse(readFileSync(model + '/baton.json', 'utf8'));
      const backend = await targets.open('openvino-npu', manifest, new DirectoryFiles(model));
      console.log(JSON.stringify({ lines, description: backend.description }));
      await backend.close();
    `;
    const scratch = mkdtempSync(path.join(os.tmpdir(), 'baton-packed-openvino-'));
    try {
      const model = path.join(scratch, 'model');
      const fixture = path.join(root, 'packages', 'compiler', 'test', 'fixtures', 'llama3');
      const { manifest } = await compileDirectory(fixture, model, { context: 32, chunk: 16 });
      const { stdout, stderr } = spawnSync(
        process.execPath,
        ['--input-type=module', '--eval', script, model],
        {
          cwd: import.meta.dirname,
          encoding: 'utf8',
          env: {
            ...process.env,
            BATON_CACHE: path.join(scratch, 'cache'),
            OPENVINO_DOUBLE: JSON.stringify({ devices: ['CPU', 'NPU'] }),
          },
        },
      );
      expect(stderr).toBe('');
      const { lines, description } = JSON.parse(stdout) as { lines: string[]; description: string };
      expect(lines.length).toBe(manifest.graphs.length);
      expect(description).toContain('decode on NPU');
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });

  test('says in one line what is wrong', async () => {
    for (const [args, code, said] of [
      [['serve'], 2, /--model/],
      [['serve', '--model', '/nowhere'], 1, /no model at \/nowhere/],
      [['start'], 1, /nothing is installed/],
      [['tokens', 'revoke', 'x'], 1, /nobody is paired under x/],
      [['logs'], 1, /no log yet/],
      [['frobnicate'], 2, /frobnicate/],
    ] as const) {
      const { status: ended, stderr } = await installed.run(args);
      expect([ended, stderr.trim().split('\n').length]).toEqual([code, 1]);
      expect(stderr).toMatch(said);
    }
  });
});

describe('the service', () => {
  let url: string;

  test('its own command line, as the service file has it, serves', async () => {
    const { content } = await installed.json<{ content: string }>(
      'install',
      '--model',
      'demo-small',
      '--port',
      '0',
      '--print',
    );
    if (process.platform !== 'linux') return;
    const words = [.../^ExecStart=(.*)$/m.exec(content)![1]!.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((m) =>
      m[1]!.replaceAll('%%', '%').replaceAll('$$', '$').replace(/\\(.)/g, '$1'),
    );
    expect(words.slice(2)).toEqual(['serve', '--service', '--model', 'demo-small', '--port', '0']);
    const child = spawn(words[0]!, words.slice(1), { cwd: '/', env: installed.environment, stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await expect.poll(async () => (await status()).running[0]?.answers, { timeout: 120_000 }).toBe(true);
    expect((await status()).running[0]).toMatchObject({ pid: child.pid, model: 'demo-small' });
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect((await status()).running).toEqual([]);
  });

  test('install says clearly that there is no manager, and keeps the options for start', async () => {
    const { status: code, stderr } = await installed.run(['install', '--model', 'demo-small', '--port', '0']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/not installed: .*start" runs the bridge in the background/);
    expect((await status()).installed).toBe('baton-bridge start');
  });

  test('installed through npx, the service gets a copy of the program that stays', async () => {
    await installed.fromNpxCache(async () => {
      const { content } = await installed.json<{ content: string }>(
        'install',
        '--model',
        'demo-small',
        '--print',
      );
      const place = path.join(installed.environment.BATON_HOME!, 'data', 'program');
      expect(content).toContain(path.join(place, '0.'));
      // Looking changes nothing.
      expect(existsSync(place)).toBe(false);
      await installed.run(['install', '--model', 'demo-small', '--port', '0']);
    });
    // What was in the cache is gone; the service starts all the same.
    const { command } = JSON.parse(
      readFileSync(path.join(installed.environment.BATON_HOME!, 'config', 'service.json'), 'utf8'),
    ) as { command: string[] };
    expect(command[1]).not.toContain('_npx');
    const { url } = await installed.json<{ url: string }>('start');
    expect((await fetch(`${url}/health`)).status).toBe(200);
    await installed.json('stop');
    await installed.run(['install', '--model', 'demo-small', '--port', '0']);
  });

  test('start brings it up in the background; a second start finds it there', async () => {
    const first = await installed.json<{ url: string; pid: number }>('start');
    const again = await installed.json<{ url: string; pid: number }>('start');
    expect(again).toEqual(first);
    ({ url } = first);
    const now = await status();
    expect(now.running).toMatchObject([{ url, service: true, answers: true, model: 'demo-small' }]);
  });

  test('a page or program is paired with a code from another terminal, and ended with revoke', async () => {
    expect((await post(`${url}/v1/completions`, { prompt: 'Tom has', max_tokens: 2 })).status).toBe(401);
    const { code, link } = await installed.json<{ code: string; link: string }>('pair');
    expect(link).toBe(`${url}/#pair=${code}`);
    const paired = await post(`${url}/pair`, { code, name: 'a test' });
    const { token } = (await paired.json()) as { token: string };
    expect((await post(`${url}/pair`, { code })).status).toBe(403);
    const ask = (): Promise<Response> =>
      post(
        `${url}/v1/completions`,
        { prompt: 'Tom has', max_tokens: 4, temperature: 0 },
        { authorization: `Bearer ${token}` },
      );
    const answer = (await (await ask()).json()) as { choices: { text: string }[] };
    expect(answer.choices[0]!.text.length).toBeGreaterThan(0);
    const listed = await installed.json<{ id: string; name: string }[]>('tokens', 'list');
    expect(listed.map(({ name }) => name)).toEqual(['a test']);
    await installed.json('tokens', 'revoke', listed[0]!.id);
    expect((await ask()).status).toBe(401);
  });

  test('a token for a program is made without a code', async () => {
    const { token } = await installed.json<{ token: string }>('tokens', 'issue', '--name', 'curl');
    const models = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
    expect(models.status).toBe(200);
  });

  test('it serves the page itself, isolated and not to be framed', async () => {
    const page = await fetch(`${url}/`);
    expect(await page.text()).toContain('<baton-app>');
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'x-content-type-options': 'nosniff',
    });
    expect(page.headers.get('content-security-policy')).toMatch(/frame-ancestors 'none'/);
    expect(await (await fetch(`${url}/baton-config.json`)).json()).toEqual({ bridge: { url } });
  });

  test('the log says what happened, and holds no secret', async () => {
    const { lines } = await installed.json<{ lines: string[] }>('logs');
    const text = lines.join('\n');
    expect(text).toContain('serving demo-small');
    expect(text).toContain('paired with a program');
    expect(text).not.toMatch(/baton_[\w-]{20}|Tom has/);
  });

  test('update puts the new version in its place and the service on it', async () => {
    const before = (await status()).running[0]!;
    const archive = installed.repacked('0.999.0');
    const {
      status: code,
      stderr,
      stdout,
    } = await installed.run(['update', archive, '--json'], {
      // npm needs its own programs, its cache and the registry.
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_OPTIONS: '',
    });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ to: '0.999.0', restarted: true });
    const [after] = (await status()).running;
    expect(after).toMatchObject({ version: '0.999.0', answers: true, service: true });
    expect(after!.pid).not.toBe(before.pid);
  }, 240_000);

  test('stop ends it, and uninstall leaves nothing behind that it made', async () => {
    const { pid } = (await status()).running[0]!;
    await installed.json('stop');
    expect(alive(pid)).toBe(false);
    expect((await installed.run(['status'])).status).toBe(3);
    const { folders } = await installed.json<{ folders: string[] }>('uninstall', '--purge');
    expect(folders.filter((one) => existsSync(one))).toEqual([]);
    expect(await status()).toEqual({ installed: null, running: [] });
  });
});
