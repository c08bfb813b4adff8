// Loads openvino-node if its binary is there. It is an optional part: the package carries no binary (its install script
// downloads one and is denied by default), so loading fails on most machines, and then one line says what to do.
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { NodeAddon } from 'openvino-node/types/addon.d.ts';

export type Openvino = NodeAddon;

export type Loaded = { addon: Openvino; reason: string } | { addon: null; reason: string };

let loaded: Loaded | undefined;

/** The addon, or why there is none. Loads once per process. */
export function loadOpenvino(): Loaded {
  return (loaded ??= load());
}

/** Folder of the openvino-node package; null where it is not installed. */
export function packageFolder(): string | null {
  try {
    return path.dirname(createRequire(import.meta.url).resolve('openvino-node/package.json'));
  } catch {
    return null;
  }
}

function load(): Loaded {
  const folder = packageFolder();
  if (folder === null) return { addon: null, reason: 'the package openvino-node is not installed' };
  if (!existsSync(path.join(folder, 'bin')))
    return { addon: null, reason: 'OpenVINO’s binary is missing; get it with: baton-bridge install-runtime' };
  try {
    const { addon } = createRequire(import.meta.url)('openvino-node') as { addon: Openvino };
    return { addon, reason: `OpenVINO ${addon.getOpenvinoVersion().buildNumber}` };
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { addon: null, reason: `openvino-node does not load: ${message}` };
  }
}
