// Installing over a service that runs, with a double of systemd.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { OwnHome } from '../../test/own-home.ts';
import { ServiceManagers } from '../../test/service-managers.ts';
import { alive } from '@baton/runtime/process-alive';
import type { Running } from '../running.ts';

// A dozen processes start one after another; on two busy cores that takes its time.
vi.setConfig({ testTimeout: 240_000 });

describe.runIf(process.platform === 'linux')('installed again', () => {
  let home: OwnHome;
  let managers: ServiceManagers;
  beforeAll(() => {
    home = new OwnHome();
    managers = new ServiceManagers(home.folder);
    home.environment.PATH = managers.path;
  });
  afterAll(async () => {
    await home?.run('stop', '--all');
    home?.remove();
  });

  const install = (...more: string[]): ReturnType<OwnHome['run']> =>
    home.run('install', '--model', 'demo-small', '--target', 'ort-cpu', '--port', '0', '--json', ...more);
  const running = async (): Promise<Running[]> =>
    (JSON.parse((await home.run('status', '--json')).stdout) as { running: Running[] }).running;
  const unit = (): string =>
    readFileSync(path.join(home.folder, 'config', 'systemd', 'user', 'baton-bridge.service'), 'utf8');

  it('the service runs with the new options, in a process of its own', async () => {
    const first = JSON.parse((await install()).stdout) as Running;
    const second = JSON.parse((await install('--queue', '5')).stdout) as Running;
    expect(second.pid).not.toBe(first.pid);
    expect(alive(first.pid)).toBe(false);
    expect(await running()).toMatchObject([{ pid: second.pid, answers: true }]);
    expect(unit()).toContain('"--queue" "5"');
  });

  it('and refused, the earlier one runs as before', async () => {
    const before = unit();
    managers.refuse('"--queue" "6"');
    const { status, stderr } = await install('--queue', '6');
    expect([status, stderr.trim().split('\n').length]).toEqual([1, 1]);
    expect(stderr).toContain('bad setting');
    expect(unit()).toBe(before);
    await expect.poll(running).toMatchObject([{ service: true, answers: true }]);
  });
});
