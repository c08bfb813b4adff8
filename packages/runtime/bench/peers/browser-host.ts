// Browser subjects: one Chromium with a profile on disk, one page and so one renderer process per subject. Every subject is
// opened twice: the first time fills what its runtime keeps in the browser, the second is timed.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright';
import { openTestBrowser } from '../../test/browser/harness.ts';
import { busiest, peakBytes, renderers } from './browser-processes.ts';
import type { Opened, Host } from './compare.ts';
import { modelPath, type Subject } from './subjects.ts';

/** What a browser keeps belongs to an origin, port included. */
const PORT = 8791;
/** A page that loads a gigabyte and compiles it may take a while; a page that hangs must not take for ever. */
const PATIENCE_MS = 240_000;

export async function browserHost(folder: string, threads: number, slots: number): Promise<Host> {
  const packages = fileURLToPath(new URL('./node_modules/', import.meta.url));
  if (!existsSync(packages))
    throw new Error(
      `the other runtimes are not installed: run npm install in ${path.relative(process.cwd(), path.dirname(packages))}`,
    );
  // Beside the models: what the runtimes keep in the browser is prepared once as they are.
  const profile = path.join(folder, 'profile');
  await mkdir(profile, { recursive: true });
  const browser = await openTestBrowser({
    page: fileURLToPath(new URL('./page', import.meta.url)),
    profile,
    port: PORT,
    serve: {
      '/models/': folder,
      '/wllama/': path.join(packages, '@wllama/wllama'),
      '/transformers/': path.join(packages, '@huggingface/transformers'),
      '/ort/': path.join(packages, 'onnxruntime-web/dist'),
    },
  });
  const served = (subject: Subject): { url: string; threads: number; slots: number } => {
    const file = modelPath(subject);
    const url = `${browser.origin}/models/${file}${file.includes('.') ? '' : '/'}`;
    return { url, threads, slots };
  };
  const open = async (subject: Subject): Promise<Opened> => {
    const page = await patient(browser.newPage());
    try {
      const before = await renderers();
      const { loadMs, description } = await patient(
        page.evaluate(([subject, served]) => window.peers.open(subject, served), [
          subject,
          served(subject),
        ] as const),
      );
      const process = busiest(before, await renderers());
      return {
        loadMs,
        description,
        turn: (turn) => patient(page.evaluate((turn) => window.peers.turn(turn), turn)),
        peakBytes: async () => (process === undefined ? undefined : peakBytes(process)),
        close: () => page.close(),
      };
    } catch (error) {
      await page.close();
      throw error;
    }
  };
  let reading: Page | undefined;
  return {
    description: `Chromium ${browser.page.context().browser()?.version() ?? (await version(browser.page))}`,
    open: async (subject) => {
      const filled = path.join(profile, `${subject.id.replaceAll(' ', '-')}.filled`);
      if (!existsSync(filled)) {
        await (await open(subject)).close();
        await writeFile(filled, '');
      }
      return open(subject);
    },
    read: async (times) => {
      if (!reading) {
        reading = await browser.newPage();
        await reading.evaluate((threads) => window.peers.openReader(threads), threads);
      }
      return reading.evaluate((times) => window.peers.read(times), times);
    },
    close: () => browser.close(),
  };
}

async function version(page: Page): Promise<string> {
  const agent = await page.evaluate(() => navigator.userAgent);
  return /Chrome\/([\d.]+)/.exec(agent)?.[1] ?? agent;
}

async function patient<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
