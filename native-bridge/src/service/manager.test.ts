// Installing over a service that launchd knows, with a double of it.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceManagers } from '../../test/service-managers.ts';
import type { ServiceDefinition, ServiceManager } from './definition.ts';
import { launchd } from './launchd.ts';
import { installService, removeService } from './manager.ts';

describe.skipIf(process.platform === 'win32')('launchd', () => {
  let folder: string;
  let managers: ServiceManagers;
  let manager: ServiceManager;
  const search = process.env.PATH;
  beforeAll(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'baton-launchd-'));
    managers = new ServiceManagers(folder);
    manager = launchd(folder, 501);
    process.env.PATH = managers.path;
  });
  afterAll(() => {
    process.env.PATH = search;
    rmSync(folder, { recursive: true, force: true });
  });

  const serving = (model: string): ServiceDefinition => ({
    command: ['node', 'serve', model],
    environment: {},
    logFolder: folder,
  });
  const loaded = (): string => readFileSync(path.join(folder, 'managers', 'loaded'), 'utf8');

  it('takes a new definition in the place of the one that it has loaded', () => {
    installService(manager, serving('first'));
    installService(manager, serving('second'));
    expect(loaded()).toContain('<string>second</string>');
    expect(readFileSync(manager.file, 'utf8')).toBe(loaded());
  });

  it('has the earlier one again where it refuses the new one', () => {
    const before = loaded();
    managers.refuse('third');
    expect(() => installService(manager, serving('third'))).toThrow(/bad setting/);
    expect([loaded(), readFileSync(manager.file, 'utf8')]).toEqual([before, before]);
  });

  it('keeps no file of a first one that it refuses', () => {
    removeService(manager);
    expect(() => installService(manager, serving('third'))).toThrow(/bad setting/);
    expect(existsSync(manager.file)).toBe(false);
  });
});
