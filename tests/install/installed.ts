// The bridge as people get it: packed by `npm pack`, installed by npm from the archive into an empty folder far from the
// repository, and run from there with a home of its own.
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGE = path.join('node_modules', '@baton', 'bridge');

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

export class Installed {
  folder: string;
  readonly archive: string;
  readonly #scratch: string;

  private constructor(scratch: string, archive: string) {
    this.#scratch = scratch;
    this.folder = path.join(scratch, 'a folder');
    this.archive = archive;
  }

  /** Packs and installs; a minute or two. Install scripts of the native runtimes are off, as npm has it by default. */
  static create(): Installed {
    const scratch = mkdtempSync(path.join(os.tmpdir(), 'baton-installed-'));
    try {
      npm(['pack', '--pack-destination', scratch], path.join(root, 'native-bridge'));
      const made = readdirSync(scratch).find((name) => name.endsWith('.tgz'))!;
      const installed = new Installed(scratch, path.join(scratch, made));
      mkdirSync(installed.folder);
      writeFileSync(path.join(installed.folder, 'package.json'), '{"private":true}');
      npm(['install', '--prefer-offline', '--ignore-scripts', installed.archive], installed.folder);
      writeFileSync(path.join(scratch, 'loopback-only.mjs'), LOOPBACK_ONLY);
      return installed;
    } catch (error) {
      rmSync(scratch, { recursive: true, force: true });
      throw error;
    }
  }

  get package(): string {
    return path.join(this.folder, PACKAGE);
  }

  get command(): string {
    return path.join(this.package, 'bin', 'baton-bridge.mjs');
  }

  /**
   * Where nothing finds a service manager (there is no program on PATH), nothing of this person's own files is touched,
   * and a connection to anywhere but loopback fails.
   */
  get environment(): NodeJS.ProcessEnv {
    const home = path.join(this.#scratch, 'home');
    return {
      HOME: home,
      USERPROFILE: home,
      PATH: path.join(this.#scratch, 'nothing'),
      BATON_HOME: path.join(home, 'baton'),
      NODE_OPTIONS: `--import ${pathToFileURL(path.join(this.#scratch, 'loopback-only.mjs')).href}`,
      ...(process.env.SystemRoot === undefined ? {} : { SystemRoot: process.env.SystemRoot }),
    };
  }

  /** Runs `baton-bridge ARGS` to its end. */
  run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ran> {
    const child = spawn(process.execPath, [this.command, ...args], {
      cwd: this.folder,
      env: { ...this.environment, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ran: Ran = { status: null, stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => (ran.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (ran.stderr += data.toString()));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve({ ...ran, status }));
    });
  }

  async json<T>(...args: string[]): Promise<T> {
    const { stdout, stderr, status } = await this.run([...args, '--json']);
    if (stdout.trim() === '')
      throw new Error(`baton-bridge ${args.join(' ')} ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** An archive of the same program under another version. */
  repacked(version: string): string {
    const copy = path.join(this.#scratch, 'newer');
    cpSync(this.package, copy, { recursive: true });
    const manifest = path.join(copy, 'package.json');
    const { version: now } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
    for (const file of [manifest, path.join(copy, 'dist', 'native-bridge', 'package.json.js')])
      writeFileSync(file, readFileSync(file, 'utf8').replace(`"${now}"`, `"${version}"`));
    npm(['pack', '--ignore-scripts', '--pack-destination', this.#scratch], copy);
    return path.join(this.#scratch, path.basename(this.archive).replace(now, version));
  }

  /** Runs `work` while the program lies where npx would have put it, in a cache that npm may sweep. */
  async fromNpxCache(work: () => Promise<void>): Promise<void> {
    const real = this.folder;
    const cache = path.join(this.#scratch, '_npx', '0123456789abcdef');
    mkdirSync(path.dirname(cache), { recursive: true });
    renameSync(real, cache);
    this.folder = cache;
    try {
      await work();
    } finally {
      renameSync(cache, real);
      this.folder = real;
    }
  }

  remove(): void {
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

function npm(args: readonly string[], cwd: string): void {
  // Under `npm test` the environment holds npm's settings for that run.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const windows = process.platform === 'win32';
  const done = spawnSync(windows ? 'npm.cmd' : 'npm', [...args, '--no-audit', '--no-fund'], {
    cwd,
    env,
    encoding: 'utf8',
    shell: windows,
  });
  if (done.status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${done.status}: ${done.stderr}`);
}

/** Loaded before the program: it has no network but loopback. */
const LOOPBACK_ONLY = `
import net from 'node:net';
import dns from 'node:dns';
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  const host = options?.host ?? 'localhost';
  if (options?.path === undefined && !['127.0.0.1', '::1', 'localhost'].includes(host)) {
    throw new Error('no network: ' + host);
  }
  return connect.apply(this, args);
};
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => {
  if (!['127.0.0.1', '::1', 'localhost'].includes(name)) throw new Error('no network: ' + name);
  return lookup(name, ...rest);
};
`;
