// OpenVINO's compiled blobs on disk: one folder (one model cache) per graph, under a key of everything that decides the
// blob. A folder appears under its name only when its compilation has ended, so a process killed half-way leaves nothing
// that a later one could take for whole.
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { Manifest } from '@baton/compiler';
import { alive } from '@baton/runtime/process-alive';
import { folder } from '../folders.ts';
import { safe } from './blob-files.ts';
import { deviceProperty } from './device.ts';
import type { Openvino } from './load.ts';
import { wantedProperties } from './properties.ts';

/** Blobs that nobody used for so long are those of an old driver, an old OpenVINO or a deleted model. */
const KEEP_DAYS = 60;

/** Everything that makes another blob. Also the key of what is remembered about a device. */
export function blobKey(addon: Openvino, device: string, manifest: Manifest, directory: string): string {
  const facts = [
    manifest.files.map((f) => f.sha256),
    // OpenVINO's own key has the path of the model, so a moved model would be compiled again behind our back.
    realpathSync(directory),
    addon.getOpenvinoVersion().buildNumber,
    device,
    ...[
      'NPU_DRIVER_VERSION',
      'NPU_COMPILER_VERSION',
      'GPU_DRIVER_VERSION',
      'DEVICE_ARCHITECTURE',
      'FULL_DEVICE_NAME',
    ].map((name) => deviceProperty(addon, device, name)),
    wantedProperties(device),
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 24);
}

/** The folder of one model on one device with one driver. */
export function blobFolder(addon: Openvino, device: string, manifest: Manifest, directory: string): string {
  const key = blobKey(addon, device, manifest, directory);
  return path.join(blobRoot(), `${safe(manifest.id)}-${safe(device)}-${key}`);
}

function blobRoot(): string {
  return path.join(folder('cache'), 'openvino');
}

/** Removes what killed processes left in `root`, and blobs that were not used for long; marks `root` as used. */
export async function tidyBlobs(root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  await utimes(root, new Date(), new Date());
  for (const name of await readdir(root)) {
    const pid = Number(/\.unfinished-(\d+)$/.exec(name)?.[1]);
    if (!(pid > 0)) continue;
    const there = path.join(root, name);
    // Process numbers are used again, and no compilation takes a day.
    if (!alive(pid) || (await ageInDays(there)) > 1) await rm(there, { recursive: true, force: true });
  }
  for (const name of await readdir(blobRoot())) {
    const there = path.join(blobRoot(), name);
    if ((await ageInDays(there)) > KEEP_DAYS) await rm(there, { recursive: true, force: true });
  }
}

async function ageInDays(there: string): Promise<number> {
  const made = (await stat(there).catch(() => null))?.mtimeMs ?? Date.now();
  return (Date.now() - made) / (24 * 3600 * 1000);
}
