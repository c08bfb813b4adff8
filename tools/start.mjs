// `npm start`: installs what is missing, builds the page, starts the large-model endpoint and a server for the page,
// prints both addresses, and ends both on Ctrl-C. Plain JavaScript: it must load under Node 20.
import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { ensureInstalled } from './install.mjs';
import { pinnedNode, root } from './node.mjs';

const HOST = '127.0.0.1';
const PAGE_PORT = 4173;
const ENDPOINT_PORT = 8787;
const READY_MS = 120_000;

/** @type {Map<import('node:child_process').ChildProcess, string>} */
const parts = new Map();
let leaving = false;

process.on('SIGINT', () => void leave(0));
process.on('SIGTERM', () => void leave(0));
process.on('SIGHUP', () => void leave(0));

try {
  ensureInstalled();
  if (!process.argv.includes('--no-build')) await runToEnd('the page', vite('build', '--logLevel', 'warn'));
  const pagePort = await freePort(PAGE_PORT);
  const endpointPort = await freePort(ENDPOINT_PORT, pagePort);
  const page = `http://${HOST}:${pagePort}`;
  const endpoint = `http://${HOST}:${endpointPort}`;

  const serve = [
    'serve',
    '--model',
    'demo-large',
    '--host',
    HOST,
    '--port',
    String(endpointPort),
    '--no-pairing',
  ];
  const origins = [page, `http://localhost:${pagePort}`].flatMap((origin) => ['--allow-origin', origin]);
  start('the large-model endpoint', [path.join('apps', 'cli', 'bin', 'baton.mjs'), ...serve, ...origins]);
  start(
    'the page server',
    vite('preview', '--host', HOST, '--port', String(pagePort), '--strictPort', '--logLevel', 'warn'),
    {
      BATON_ENDPOINT_URL: `${endpoint}/v1`,
      BATON_ENDPOINT_KIND: 'baton',
    },
  );
  await Promise.all([answers(`${endpoint}/health`), answers(`${page}/`)]);
  if (!leaving) {
    console.log(`\n  Baton                ${page}`);
    console.log(`  large model          ${endpoint}/v1  (demo-large)`);
    console.log('  Ctrl-C stops both.\n');
  }
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}

function vite(...args) {
  return [path.join('node_modules', 'vite', 'bin', 'vite.js'), ...args];
}

/** Starts one part; its unexpected end ends everything. */
function start(name, args, env = {}) {
  // A group of its own: Ctrl-C then reaches this process alone, which ends the parts in order.
  const child = spawn(pinnedNode(), args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: process.platform !== 'win32',
  });
  let errors = '';
  child.stderr.on('data', (chunk) => (errors = (errors + String(chunk)).slice(-4000)));
  parts.set(child, name);
  child.on('error', (error) => fail(`${name} cannot be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    parts.delete(child);
    if (!leaving) fail(`${name} ended (${signal ?? `status ${code}`})${reason(errors)}`);
  });
  return child;
}

async function runToEnd(name, args) {
  const child = spawn(pinnedNode(), args, {
    cwd: root,
    // Whatever started this may have said "test" or "development"; people get the page as it is published.
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  parts.set(child, name);
  let errors = '';
  child.stderr.on('data', (chunk) => (errors = (errors + String(chunk)).slice(-4000)));
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  parts.delete(child);
  if (code !== 0 && !leaving) throw new Error(`${name} could not be built${reason(errors)}`);
}

/** The wanted port, or the next one that nobody listens on. */
async function freePort(wanted, taken = 0) {
  for (let port = wanted; port < wanted + 100; port++) {
    if (port !== taken && (await isFree(port))) return port;
  }
  throw new Error(`no free port from ${wanted} to ${wanted + 99}; end something that listens there`);
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}

async function answers(url) {
  const until = Date.now() + READY_MS;
  for (;;) {
    if (leaving) return;
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    if (Date.now() > until) throw new Error(`nothing answers at ${url} after ${READY_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** The line of a part's messages that says what went wrong. */
function reason(text) {
  const lines = text
    .split('\n')
    .map((line) => stripVTControlCharacters(line).trim())
    .filter((line) => line !== '');
  const told = lines.findLast((line) => line.startsWith('baton: '));
  const line = told ?? lines.find((one) => /\[\w+_ERROR\]|^\w*Error: /.test(one)) ?? lines.at(-1);
  return line === undefined ? '' : `: ${line.replace(/^baton: /, '')}`;
}

function fail(message) {
  if (leaving) return;
  console.error(`baton: ${message}`);
  void leave(1);
}

/** Ends every part: asked first, forced after three seconds. */
async function leave(status) {
  if (leaving) return;
  leaving = true;
  await Promise.all([...parts.keys()].map(end));
  process.exit(status);
}

function end(child) {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  return new Promise((resolve) => {
    const timer = setTimeout(() => signal(child, 'SIGKILL'), 3000);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    signal(child, 'SIGTERM');
  });
}

/** The part and whatever it started. */
function signal(child, name) {
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, name);
  } catch {
    child.kill(name);
  }
}
