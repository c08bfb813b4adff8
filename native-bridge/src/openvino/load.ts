// Loads openvino-node if its binary is there. It is an optional part: the package carries no binary (its install script
// downloads one and is denied by default), so there is none on most machines, and then one line says what to do.
import { createRequire } from 'node:module';
import path from 'node:path';
import type { NodeAddon } from 'openvino-node/types/addon.d.ts';
import { ADDON_FILE, openvinoPackage, runtimeFolder } from './runtime-folder.ts';

export type Openvino = NodeAddon;

export type Loaded = { addon: Openvino; reason: string } | { addon: null; reason: string };

let loaded: Loaded | undefined;

/** The addon, or why there is none. Loads once per process. */
export function loadOpenvino(): Loaded {
  return (loaded ??= load());
}

function load(): Loaded {
  const found = openvinoPackage();
  if (found === null) return { addon: null, reason: 'the package openvino-node is not installed' };
  if (Number(process.versions.node.split('.')[0]) < 21)
    return { addon: null, reason: `openvino-node needs Node 21 or newer, this is ${process.versions.node}` };
  const there = runtimeFolder(found);
  if (there === null) {
    const named = process.env.BATON_OPENVINO;
    return {
      addon: null,
      reason: named
        ? `there is no ${ADDON_FILE} in ${named} (BATON_OPENVINO)`
        : 'OpenVINO’s binary is missing; get it with: baton-bridge install-runtime (or baton install-runtime)',
    };
  }
  try {
    // The package's own index does no more than this, but looks in its bin/ only.
    const addon = createRequire(import.meta.url)(path.join(there, ADDON_FILE)) as Openvino;
    return { addon, reason: `OpenVINO ${addon.getOpenvinoVersion().buildNumber}` };
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { addon: null, reason: `OpenVINO does not load from ${there}: ${message}` };
  }
}
