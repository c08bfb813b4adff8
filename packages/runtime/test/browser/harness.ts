// Real Chromium for tests: builds a small page with Vite, serves it with COOP and COEP beside the folders a test needs,
// and opens it. One browser per test file; close() ends everything it started.

import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import chromiumBuild from '@sparticuz/chromium';
import { chromium, type Browser, type BrowserContext, type LaunchOptions, type Page } from 'playwright';
import { build } from 'vite';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/** WebNN and WebGPU without a GPU: XNNPACK on the CPU behind the one, SwiftShader behind the other. */
export const BROWSER_FLAGS: readonly string[] = [
  '--enable-features=WebMachineLearningNeuralNetwork',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
];

export interface TestBrowser {
  page: Page;
  origin: string;
  /** Requests the server has answered since the start, as "METHOD /path range". */
  requests: string[];
  newPage(): Promise<Page>;
  /** Ends the browser's GPU process as a driver crash would; the browser starts another. */
  crashGpu(): Promise<void>;
  close(): Promise<void>;
}

export interface TestBrowserOptions {
  /** Folder with index.html, the page's entry. */
  page: string;
  /** URL prefix -> folder on disk, e.g. { '/model/': '/tmp/compiled' }. */
  serve?: Readonly<Record<string, string>>;
  /** Serve without the headers that make a page cross-origin isolated. */
  isolated?: boolean;
  flags?: readonly string[];
  /** Folder of a browser profile: pages then share storage, on disk. Default: each page has its own, in memory. */
  profile?: string;
  /** Default: any free one. What a browser keeps belongs to an origin, so a profile that is used again needs the same. */
  port?: number;
  /** May answer a request itself (returns true) or let the server do it. */
  intercept?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
}

export async function openTestBrowser(options: TestBrowserOptions): Promise<TestBrowser> {
  const out = await mkdtemp(path.join(os.tmpdir(), 'baton-page-'));
  const requests: string[] = [];
  let server: http.Server | null = null;
  let browser: Browser | BrowserContext | null = null;
  const close = async (): Promise<void> => {
    await browser?.close();
    server?.closeAllConnections();
    await new Promise<void>((done) => (server ? server.close(() => done()) : done()));
    await rm(out, { recursive: true, force: true });
  };
  try {
    await build({
      root: options.page,
      base: './',
      configFile: false,
      logLevel: 'error',
      build: { outDir: out, emptyOutDir: true, target: 'esnext', minify: false, assetsInlineLimit: 0 },
      worker: { format: 'es' },
    });
    const folders: [string, string][] = [...Object.entries(options.serve ?? {}), ['/', out]];
    server = http.createServer((request, response) => {
      requests.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim());
      if (options.intercept?.(request, response)) return;
      void answer(request, response, folders, options.isolated ?? true);
    });
    await new Promise<void>((listening) => server!.listen(options.port ?? 0, '127.0.0.1', listening));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const launch: LaunchOptions = {
      executablePath: await chromiumBuild.executablePath(),
      args: browserArguments(options.flags),
      headless: true,
    };
    browser =
      options.profile === undefined
        ? await chromium.launch(launch)
        : await chromium.launchPersistentContext(options.profile, launch);
    const newPage = async (): Promise<Page> => {
      const page = await browser!.newPage();
      page.on('console', (message) => {
        if (process.env.BATON_TEST_CONSOLE) console.log(`[page] ${message.text()}`);
      });
      await page.goto(`${origin}/index.html`);
      return page;
    };
    const crashGpu = async (): Promise<void> => {
      if (!browser || !('newBrowserCDPSession' in browser))
        throw new Error('the GPU process can be ended only in a browser without a profile');
      const session = await browser.newBrowserCDPSession();
      await session.send('Browser.crashGpuProcess');
      await session.detach();
    };
    return { page: await newPage(), newPage, crashGpu, origin, requests, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Chromium's command line: an ordinary browser, not the one process that its package is made for. */
export function browserArguments(flags: readonly string[] = BROWSER_FLAGS): string[] {
  const unwanted =
    /webgl|single-process|in-process-gpu|no-zygote|able-features|web-security|site-isolation|insecure-content/;
  return [...chromiumBuild.args.filter((argument) => !unwanted.test(argument)), ...flags];
}

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  folders: readonly [string, string][],
  isolated: boolean,
): Promise<void> {
  const pathname = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
  const [prefix, folder] = folders.find(([p]) => pathname.startsWith(p))!;
  const file = path.join(folder, path.normalize(`/${pathname.slice(prefix.length)}`));
  const info = await stat(file).catch(() => null);
  if (isolated) {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  }
  if (!info?.isFile()) {
    response.writeHead(404).end('not found');
    return;
  }
  response.setHeader('Content-Type', TYPES[path.extname(file)] ?? 'application/octet-stream');
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('ETag', `"${info.size}-${info.mtimeMs}"`);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Math.min(Number(range[2]), info.size - 1) : info.size - 1;
  if (range) response.setHeader('Content-Range', `bytes ${start}-${end}/${info.size}`);
  response.setHeader('Content-Length', Math.max(0, end - start + 1));
  response.writeHead(range ? 206 : 200);
  if (request.method === 'HEAD' || info.size === 0) response.end();
  else createReadStream(file, { start, end, highWaterMark: 1 << 20 }).pipe(response);
}
