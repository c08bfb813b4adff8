// Fetching OpenVINO's binary: a real server on loopback, a real (small) archive, and what goes wrong on the way.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as tar from 'tar';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { archiveUrl } from './archive-url.ts';
import { installRuntime, removeRuntimes } from './install.ts';
import { openvinoPackage, userRuntimeFolder } from '../openvino/runtime-folder.ts';

let folder: string;
let archive: Buffer;
let sha256: string;
const before = { ...process.env };

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-install-'));
  for (const name of [
    'HTTPS_PROXY',
    'https_proxy',
    'HTTP_PROXY',
    'http_proxy',
    'NO_PROXY',
    'no_proxy',
    'npm_config_proxy',
    'npm_config_https_proxy',
    'npm_config_noproxy',
    'BATON_OPENVINO',
  ])
    delete process.env[name];
  process.env.BATON_HOME = path.join(folder, 'home');
  const content = path.join(folder, 'content');
  await mkdir(path.join(content, 'licensing'), { recursive: true });
  await writeFile(path.join(content, 'ov_node_addon.node'), 'a library');
  await writeFile(path.join(content, 'libopenvino.so.2640'), Buffer.alloc(300_000, 'x'));
  await chmod(path.join(content, 'libopenvino.so.2640'), 0o755);
  await symlink('libopenvino.so.2640', path.join(content, 'libopenvino.so'));
  await writeFile(path.join(content, 'licensing', 'LICENSE'), 'Apache-2.0');
  const file = path.join(folder, 'openvino.tar.gz');
  await tar.create({ gzip: { level: 0 }, file, cwd: content }, ['.']);
  archive = readFileSync(file);
  sha256 = createHash('sha256').update(archive).digest('hex');
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  await rm(folder, { recursive: true, force: true });
});

const servers: Server[] = [];

/** A server on loopback, and what it was asked for. */
async function serving(
  answer: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<{ url: string; port: number; asked: IncomingMessage[]; server: Server }> {
  const asked: IncomingMessage[] = [];
  const server = createServer((req, res) => {
    asked.push(req);
    answer(req, res);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/openvino.tar.gz`, port, asked, server };
}

/** Serves `body` in whole or in ranges, with an ETag; nothing else. */
function storage(body: () => Buffer = () => archive, etag = '"one"') {
  return (req: IncomingMessage, res: ServerResponse): void => {
    if (!req.url!.endsWith('/openvino.tar.gz')) {
      res.writeHead(404).end();
      return;
    }
    const from = Number(/bytes=(\d+)-/.exec(req.headers.range ?? '')?.[1] ?? NaN);
    const part = req.headers['if-range'] === etag && from < body().length;
    res.writeHead(part ? 206 : 200, { etag, 'content-length': body().length - (part ? from : 0) });
    res.end(part ? body().subarray(from) : body());
  };
}

const { version } = openvinoPackage()!;

function home(): string {
  return userRuntimeFolder(version);
}

/** What is in the person's folder beside the installed runtime. */
async function leftovers(): Promise<string[]> {
  const root = path.dirname(home());
  const names = existsSync(root) ? await readdir(root, { recursive: true }) : [];
  return names.filter(
    (name) => name !== path.basename(home()) && !name.startsWith(`${path.basename(home())}${path.sep}`),
  );
}

async function expectWhole(): Promise<void> {
  expect((await readdir(home())).toSorted()).toEqual([
    'installed.json',
    'libopenvino.so',
    'libopenvino.so.2640',
    'licensing',
    'ov_node_addon.node',
  ]);
  expect(readFileSync(path.join(home(), 'libopenvino.so')).length).toBe(300_000);
  if (process.platform !== 'win32')
    expect((await stat(path.join(home(), 'libopenvino.so.2640'))).mode & 0o111).not.toBe(0);
  expect(await leftovers().then((names) => names.filter((name) => name !== 'downloads'))).toEqual([]);
}

it('knows where the binary is published, from the package itself', () => {
  const found = openvinoPackage()!;
  expect(archiveUrl(found, 'linux', 'x64')).toBe(
    `${found.binary.host}/repositories/openvino/nodejs_bindings/${version}/linux/openvino_nodejs_bindings_linux_${version}_x64.tar.gz`,
  );
  expect(archiveUrl(found, 'win32', 'x64')).toContain('_win32_');
  expect(() => archiveUrl(found, 'darwin', 'x64')).toThrow(/publishes no Node binary for darwin-x64/);
  expect(() => archiveUrl(found, 'win32', 'arm64')).toThrow(/win32-arm64/);
});

describe('from a server', () => {
  it('fetches, checks and unpacks, with progress', async () => {
    const { url } = await serving(storage());
    const seen: (number | null)[][] = [];
    const installed = await installRuntime({ url, sha256, onProgress: (...of) => seen.push(of) });
    expect(installed).toEqual({ version, folder: home(), changed: true, sha256, checksum: 'given' });
    await expectWhole();
    expect(seen.at(-1)).toEqual([archive.length, archive.length]);
    expect(seen.every(([done], i) => i === 0 || done! > seen[i - 1]![0]!)).toBe(true);
    // Once is enough.
    const again = await installRuntime({ url: 'https://nowhere.invalid/x.tar.gz' });
    expect(again).toMatchObject({ changed: false, folder: home() });
  });

  it('refuses an archive with another checksum, given or published, and keeps what was there', async () => {
    const { url } = await serving(storage());
    const wrong = '0'.repeat(64);
    await expect(installRuntime({ url, sha256: wrong })).rejects.toThrow(
      `its SHA-256 is ${sha256}, the given one ${wrong}; nothing was installed`,
    );
    expect(existsSync(home())).toBe(false);
    await installRuntime({ url, sha256 });
    await expect(installRuntime({ url, sha256: wrong, force: true })).rejects.toThrow(/SHA-256/);
    await expectWhole();
  });

  it('goes on where a download broke off, but never mixes two versions of the file', async () => {
    let etag = '"one"';
    let cutAt = 100_000;
    const { url, asked } = await serving((req, res) => {
      if (cutAt === 0) return storage(() => archive, etag)(req, res);
      res.writeHead(200, { etag, 'content-length': archive.length });
      res.write(archive.subarray(0, cutAt), () => setTimeout(() => res.destroy(), 50));
    });
    const broken = await installRuntime({ url, sha256 }).catch((e: Error) => e);
    expect((broken as Error).message).toMatch(
      new RegExp(
        `^the download broke off after 100000 of ${archive.length} bytes .*; run it again to go on from there$`,
      ),
    );
    expect(existsSync(home())).toBe(false);
    cutAt = 0;
    await installRuntime({ url, sha256 });
    expect(asked.at(-1)!.headers.range).toBe('bytes=100000-');
    await expectWhole();

    cutAt = 100_000;
    await expect(installRuntime({ url, sha256, force: true })).rejects.toThrow(/broke off/);
    // The file has changed meanwhile: the server sends all of it, by its If-Range.
    [cutAt, etag] = [0, '"two"'];
    await installRuntime({ url, sha256, force: true });
    await expectWhole();
  });

  it('gives up on a server that has the part of no file, the whole included', async () => {
    let cut = true;
    const { url, asked } = await serving((_req, res) => {
      if (!cut) {
        res.writeHead(416).end();
        return;
      }
      res.writeHead(200, { etag: '"one"', 'content-length': archive.length });
      res.write(archive.subarray(0, 100_000), () => setTimeout(() => res.destroy(), 50));
    });
    await expect(installRuntime({ url, sha256 })).rejects.toThrow(/broke off/);
    cut = false;
    await expect(installRuntime({ url, sha256 })).rejects.toThrow(`${url} answers 416`);
    expect(asked.slice(1).map(({ headers }) => headers.range)).toEqual(['bytes=100000-', undefined]);
  });

  it('says what the server said, or that there is none', async () => {
    const { url, port } = await serving((_req, res) => res.writeHead(503, 'Service Unavailable').end());
    await expect(installRuntime({ url, sha256 })).rejects.toThrow(`${url} answers 503 Service Unavailable`);
    const { server } = await serving(() => undefined);
    const gone = (server.address() as AddressInfo).port;
    await new Promise((resolve) => server.close(resolve));
    await expect(installRuntime({ url: `http://127.0.0.1:${gone}/openvino.tar.gz`, sha256 })).rejects.toThrow(
      /^127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED/,
    );
    await expect(installRuntime({ url: `http://127.0.0.1:${port}/x` })).rejects.toThrow(
      /is not https: .* --sha256/,
    );
    await expect(installRuntime({ url: 'ftp://127.0.0.1/x' })).rejects.toThrow(/an https address is needed/);
    await expect(installRuntime({ url: 'openvino' })).rejects.toThrow(/an https address is needed/);
    expect(existsSync(home())).toBe(false);
  });

  it('follows a redirect, and not for ever', async () => {
    const goal = await serving(storage());
    const { url } = await serving((_req, res) => res.writeHead(302, { location: goal.url }).end());
    await installRuntime({ url, sha256 });
    await expectWhole();
    const ring: { url: string } = await serving((_req, res) =>
      res.writeHead(302, { location: ring.url }).end(),
    );
    await expect(installRuntime({ url: ring.url, sha256, force: true })).rejects.toThrow(
      /redirected more than 5 times/,
    );
  });

  it.each(['HTTP_PROXY', 'http_proxy', 'npm_config_proxy'])('goes through the proxy in %s', async (name) => {
    const { url, port, asked } = await serving(storage());
    const proxy = await serving((_req, res) => res.writeHead(500).end());
    const tunnels: string[] = [];
    proxy.server.on('connect', (req: IncomingMessage, socket: Socket, head: Buffer) => {
      tunnels.push(req.url!);
      const up = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        up.write(head);
        up.pipe(socket).pipe(up);
      });
      up.on('error', () => socket.destroy());
      socket.on('error', () => up.destroy());
    });
    // Plain forwarding as well: what a proxy is asked for http is the client's choice.
    proxy.server.removeAllListeners('request');
    proxy.server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      tunnels.push(req.url!);
      const { pathname } = new URL(req.url!);
      request({ port, host: '127.0.0.1', path: pathname, headers: req.headers }, (from) => {
        res.writeHead(from.statusCode!, from.headers);
        from.pipe(res);
      }).end();
    });
    process.env[name] = `http://127.0.0.1:${proxy.port}`;
    // A name that only the proxy can find.
    const named = url.replace(`127.0.0.1:${port}`, 'openvino.example');
    await installRuntime({ url: named, sha256 });
    await expectWhole();
    expect(tunnels.length).toBeGreaterThan(0);
    expect(tunnels.every((to) => to.includes('openvino.example'))).toBe(true);
    // And not for hosts that NO_PROXY names.
    process.env.NO_PROXY = '127.0.0.1';
    const count = asked.length;
    tunnels.length = 0;
    await installRuntime({ url, sha256, force: true });
    expect([asked.length > count, tunnels.length]).toEqual([true, 0]);
  });
});

describe('from a file', () => {
  const local = (): string => path.join(folder, 'openvino.tar.gz');

  it('needs no network, and checks against what lies beside it', async () => {
    process.env.HTTPS_PROXY = process.env.HTTP_PROXY = 'http://127.0.0.1:1';
    expect(await installRuntime({ archive: local() })).toMatchObject({
      changed: true,
      sha256,
      checksum: 'none',
    });
    await expectWhole();
    await writeFile(`${local()}.sha256`, `${sha256}  openvino.tar.gz\n`);
    expect(await installRuntime({ archive: local(), force: true })).toMatchObject({ checksum: 'published' });
    await writeFile(`${local()}.sha256`, `${'f'.repeat(64)}  openvino.tar.gz\n`);
    await expect(installRuntime({ archive: local(), force: true })).rejects.toThrow(/the published one ffff/);
    await writeFile(`${local()}.sha256`, '<html>');
    await expect(installRuntime({ archive: local(), force: true })).rejects.toThrow(/holds no SHA-256/);
    await expectWhole();
    // The person's own file stays.
    expect(existsSync(local())).toBe(true);
    expect(await removeRuntimes()).toContain(home());
    expect(existsSync(home())).toBe(false);
  });

  it('refuses damaged archives and those of something else, and leaves nothing of them', async () => {
    const cases: [string, Buffer, RegExp][] = [
      ['cut', archive.subarray(0, archive.length / 2), /damaged|broken|truncated/i],
      ['no archive', Buffer.from('<html>not found</html>'.repeat(100)), /damaged/],
      ['empty', Buffer.alloc(0), /damaged/],
      ['bits', flipped(archive), /damaged/],
      ['something else', await packed({ 'readme.md': 'hello' }), /has no ov_node_addon\.node/],
    ];
    for (const [name, bytes, message] of cases) {
      const file = path.join(folder, `${name}.tar.gz`);
      await writeFile(file, bytes);
      await expect(installRuntime({ archive: file }), name).rejects.toThrow(message);
      expect(existsSync(home()), name).toBe(false);
      expect(await leftovers(), name).toEqual([]);
    }
    await expect(installRuntime({ archive: path.join(folder, 'none.tar.gz') })).rejects.toThrow(
      /no such file/,
    );
  });

  it.each([
    ['a path upwards', header({ path: '../evil', type: 'File', body: 'x' }), /would write to \.\.\/evil/],
    [
      'a path upwards in the middle',
      header({ path: 'a/../../evil', type: 'File', body: 'x' }),
      /outside its folder/,
    ],
    ['an absolute path', header({ path: '/tmp/baton-evil', type: 'File', body: 'x' }), /outside its folder/],
    ['a Windows path', header({ path: 'C:\\evil', type: 'File', body: 'x' }), /outside its folder/],
    ['a link outwards', header({ path: 'lib', type: 'SymbolicLink', linkpath: '../../..' }), /is a link to/],
    [
      'a link through a link',
      header({ path: 'a/lib', type: 'SymbolicLink', linkpath: 'b/../../..' }),
      /is a link to/,
    ],
    [
      'an absolute link',
      header({ path: 'lib', type: 'SymbolicLink', linkpath: '/etc' }),
      /is a link to \/etc/,
    ],
    ['a hard link outwards', header({ path: 'lib', type: 'Link', linkpath: '/etc/passwd' }), /is a link to/],
    ['a device node', header({ path: 'dev', type: 'CharacterDevice' }), /is a CharacterDevice/],
    ['a pipe', header({ path: 'pipe', type: 'FIFO' }), /is a FIFO/],
  ])('refuses an archive with %s as a whole', async (_what, entry, message) => {
    // Behind good entries: none of those may be written either.
    const good = gunzipSync(archive);
    const file = path.join(folder, 'evil.tar.gz');
    await writeFile(
      file,
      gzipSync(Buffer.concat([good.subarray(0, good.length - 1024), entry, Buffer.alloc(1024)])),
    );
    await expect(installRuntime({ archive: file })).rejects.toThrow(message);
    expect(existsSync(home())).toBe(false);
    expect(await leftovers()).toEqual([]);
    expect(existsSync('/tmp/baton-evil')).toBe(false);
  });

  it('keeps the old runtime when the new one is refused, and clears what a killed one left', async () => {
    await installRuntime({ archive: local() });
    await mkdir(`${home()}.unfinished-999999`, { recursive: true });
    const file = path.join(folder, 'other.tar.gz');
    await writeFile(file, await packed({ 'readme.md': 'hello' }));
    await expect(installRuntime({ archive: file, force: true })).rejects.toThrow(/has no ov_node_addon/);
    await expectWhole();
  });
});

describe('the command', () => {
  const baton = fileURLToPath(new URL('../../../apps/cli/bin/baton.mjs', import.meta.url));
  const command = (...args: string[]): Promise<{ stdout: string; stderr: string; code: number }> =>
    promisify(execFile)(process.execPath, [baton, 'install-runtime', ...args], { env: process.env }).then(
      (out) => ({ ...out, code: 0 }),
      (error: { stdout: string; stderr: string; code: number }) => error,
    );

  it('installs, says that this is no library, and removes', async () => {
    const file = path.join(folder, 'openvino.tar.gz');
    const installed = await command('--archive', file, '--sha256', sha256);
    expect(installed.stdout).toContain(`OpenVINO ${version} is in ${home()}`);
    expect(installed.stdout).toContain(`SHA-256 ${sha256}: as given`);
    // Nine bytes are no library; the person hears it now and not at the first question.
    expect(installed).toMatchObject({ code: 1 });
    expect(installed.stderr.trim()).toMatch(/^baton: .*does not load: .*; see baton doctor$/);
    const again = await command('--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ changed: false, folder: home(), build: null });
    expect(JSON.parse((await command('--remove', '--json')).stdout).removed).toContain(home());
    const bad = await command('--archive', file, '--sha256', 'abc');
    expect([bad.code, bad.stderr.includes('is no SHA-256')]).toEqual([2, true]);
    expect(existsSync(home())).toBe(false);
  });
});

/** A gzipped tar archive of these files. */
async function packed(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const entries = Object.entries(files).map(([name, body]) => header({ path: name, type: 'File', body }));
  return gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]));
}

/** One raw entry, of a kind that no honest tool would write. */
function header({
  path: name,
  type,
  linkpath = '',
  body = '',
}: {
  path: string;
  type: string;
  linkpath?: string;
  body?: string;
}): Buffer {
  const entry = new tar.Header({
    path: name,
    type: type as 'File',
    linkpath,
    size: body.length,
    mode: 0o644,
    mtime: new Date(0),
  });
  const block = Buffer.alloc(512);
  entry.encode(block, 0);
  const data = Buffer.alloc(Math.ceil(body.length / 512) * 512);
  data.write(body);
  return Buffer.concat([block, data]);
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let i = 1000; i < copy.length; i += 5000) copy[i]! ^= 0xff;
  return copy;
}
