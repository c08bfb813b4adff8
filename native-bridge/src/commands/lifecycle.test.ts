// Starting the bridge where no service manager knows it.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OwnHome } from '../../test/own-home.ts';

let home: OwnHome;
beforeAll(() => {
  home = new OwnHome();
});
afterAll(() => home?.remove());

it('"start" ends with the words of a bridge that ends before it is ready', async () => {
  const config = path.join(home.environment.BATON_HOME!, 'config');
  mkdirSync(config, { recursive: true });
  const command = [process.execPath, '-e', 'console.error("no such model"); process.exit(1)'];
  writeFileSync(path.join(config, 'service.json'), JSON.stringify({ command }));
  const { status, stderr } = await home.run('start');
  expect([status, stderr.trim()]).toEqual([1, 'baton-bridge: the bridge did not start: no such model']);
});
