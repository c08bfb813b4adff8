// What a person gets from `npm start`, for tests: tools/start.mjs itself, and a real Chromium with WebNN and WebGPU
// (XNNPACK behind the one, SwiftShader behind the other).

import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import chromiumBuild from '@sparticuz/chromium';
import { chromium, type Browser, type Locator, type Page } from 'playwright';
import type { Trace } from '@baton/split/trace';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Started {
  page: string;
  endpoint: string;
  process: ChildProcess;
  /** Ends it as Ctrl-C would; resolves to its exit status. */
  stop(): Promise<number | null>;
}

/** Runs `npm start`'s script until it has printed both addresses. Rejects with its own message when it fails. */
export async function startEverything(): Promise<Started> {
  const child = spawn(process.execPath, [path.join(root, 'tools', 'start.mjs')], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const { promise, resolve, reject } = Promise.withResolvers<[string, string]>();
  const read = (chunk: Buffer): void => {
    text += chunk.toString();
    const page = /Baton\s+(http:\S+)/.exec(text)?.[1];
    const endpoint = /large model\s+(http:\S+)/.exec(text)?.[1];
    if (page && endpoint && text.includes('Ctrl-C')) resolve([page, endpoint]);
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  void ended.then((code) => reject(new Error(`start.mjs ended with ${code}: ${text.trim()}`)));
  const [page, endpoint] = await promise;
  const stop = (): Promise<number | null> => {
    if (child.exitCode === null) child.kill('SIGTERM');
    return ended;
  };
  return { page, endpoint, process: child, stop };
}

export async function openBrowser(): Promise<Browser> {
  return chromium.launch(await browserOptions());
}

export async function browserOptions(): Promise<{ executablePath: string; args: string[] }> {
  return {
    executablePath: await chromiumBuild.executablePath(),
    args: [
      '--no-sandbox',
      '--enable-features=WebMachineLearningNeuralNetwork',
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
    ],
  };
}

/** The page as a person uses it, with everything that went wrong in it. */
export class Visitor {
  readonly page: Page;
  /** Uncaught errors and error lines of the console, Content-Security-Policy reports included. */
  readonly errors: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    // A first visit opens and measures every target; on two busy cores that takes more than Playwright's half minute.
    page.setDefaultTimeout(120_000);
    page.on('pageerror', (error) => this.errors.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
  }

  /** `settings`: what a person had chosen at an earlier visit. `serviceWorkers`: only their own test has them, for they may reload the page. */
  static async open(
    browser: Browser,
    address: string,
    target = 'auto',
    settings: object = {},
    serviceWorkers: 'allow' | 'block' = 'block',
  ): Promise<Visitor> {
    const context = await browser.newContext({ acceptDownloads: true, serviceWorkers });
    await context.addInitScript(
      (stored: string) => {
        if (localStorage.getItem('baton.settings/1') === null)
          localStorage.setItem('baton.settings/1', stored);
      },
      JSON.stringify({ target, ...settings }),
    );
    const visitor = new Visitor(await context.newPage());
    await visitor.page.goto(address);
    return visitor;
  }

  get smallLine(): Locator {
    return this.page.locator('[data-model=small]');
  }

  get largeLine(): Locator {
    return this.page.locator('[data-model=large]');
  }

  /** The small model is open; rejects with the page's own words when no target could run it. */
  async ready(): Promise<void> {
    await this.page.locator('[data-model=small]:is([data-tone=good], [data-tone=bad])').waitFor();
    if ((await this.smallLine.getAttribute('data-tone')) === 'bad')
      throw new Error(await this.smallLine.innerText());
  }

  async policy(name: 'Small' | 'Relay' | 'Dial' | 'Large'): Promise<void> {
    await this.page.getByRole('radio', { name: new RegExp(`^${name}:`) }).check({ force: true });
  }

  async pick(index: number): Promise<void> {
    await this.page.getByLabel('Pick a problem').selectOption(String(index));
  }

  async solve(): Promise<void> {
    await this.page.getByRole('button', { name: 'Solve' }).click();
  }

  /** Workers that there are, by the browser's own count: Playwright's keeps one that was ended while it started. */
  async workers(): Promise<number> {
    const context = this.page.context();
    const own = await context.newCDPSession(this.page);
    const { targetInfo } = await own.send('Target.getTargetInfo');
    const { targetInfos } = await own.send('Target.getTargets');
    await own.detach();
    const { browserContextId } = targetInfo;
    return targetInfos.filter((one) => one.type === 'worker' && one.browserContextId === browserContextId)
      .length;
  }

  /** The finished trace, taken through the page's own download button. */
  async trace(): Promise<Trace> {
    const button = this.page.getByRole('button', { name: 'Download trace' });
    await button.waitFor();
    const [download] = await Promise.all([this.page.waitForEvent('download'), button.click()]);
    const chunks: Buffer[] = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
    return JSON.parse(Buffer.concat(chunks).toString()) as Trace;
  }

  async figure(name: string): Promise<string> {
    return (await this.page.locator(`[data-figure=${name}]`).getAttribute('data-value')) ?? '';
  }

  async setEndpoint(url: string, kind = 'vllm'): Promise<void> {
    await this.page.getByRole('button', { name: 'Settings' }).click();
    await this.page.locator('baton-endpoint').getByLabel('Server').selectOption(kind);
    const address = this.page.getByRole('textbox', { name: 'Address' });
    await address.fill(url);
    await address.blur();
    await this.page.keyboard.press('Escape');
  }

  /** Names another checkpoint for the small model; opening it goes on afterwards. */
  async checkpoint(kind: 'hub' | 'url', address: string, weights = 'int4'): Promise<void> {
    await this.page.getByRole('button', { name: 'Settings' }).click();
    const form = this.page.locator('baton-small');
    await form.getByLabel('Checkpoint').selectOption(kind);
    await form.locator('[name=address]').fill(address);
    await form.getByLabel('Weights').selectOption(weights);
    await form.getByRole('button', { name: 'Open' }).click();
    await this.page.keyboard.press('Escape');
  }

  /** Names a server for the small model; opening it goes on afterwards. */
  async smallServer(url: string): Promise<void> {
    await this.page.getByRole('button', { name: 'Settings' }).click();
    const form = this.page.locator('baton-small');
    await form.getByLabel('Checkpoint').selectOption('server');
    await form.locator('[name=server]').fill(url);
    await form.locator('[name=key]').fill('small-key');
    await form.getByRole('button', { name: 'Open' }).click();
    await this.page.keyboard.press('Escape');
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
