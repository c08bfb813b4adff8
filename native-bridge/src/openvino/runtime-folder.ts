// Where OpenVINO's native library (the addon and the libraries beside it) may lie: a folder that BATON_OPENVINO names, the
// openvino-node package's own bin/ (its install script puts it there), or the person's folder that install-runtime fills.
// The last survives a fresh npm install and needs no rights on a global one.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import * as v from 'valibot';
import { folder } from '../folders.ts';

export const ADDON_FILE = 'ov_node_addon.node';

const packageJson = v.object({
  version: v.string(),
  binary: v.object({ remote_path: v.string(), package_name: v.string(), host: v.string() }),
});

/** What openvino-node says about itself; null where it is not installed. */
export interface OpenvinoPackage {
  folder: string;
  version: string;
  /** Where its install script would fetch the binary, with {version}, {platform} and {arch} to be filled in. */
  binary: { remote_path: string; package_name: string; host: string };
}

export function openvinoPackage(): OpenvinoPackage | null {
  try {
    const file = createRequire(import.meta.url).resolve('openvino-node/package.json');
    return { folder: path.dirname(file), ...v.parse(packageJson, JSON.parse(readFileSync(file, 'utf8'))) };
  } catch {
    return null;
  }
}

/** The person's own folder for one version on this kind of machine. */
export function userRuntimeFolder(version: string): string {
  return path.join(folder('data'), 'openvino', `${version}-${process.platform}-${process.arch}`);
}

/** The first folder that has the addon; null where there is none. */
export function runtimeFolder({ folder: packageFolder, version }: OpenvinoPackage): string | null {
  const named = process.env.BATON_OPENVINO;
  // Named on purpose: another one must not take its place unseen.
  const candidates = named ? [named] : [path.join(packageFolder, 'bin'), userRuntimeFolder(version)];
  return candidates.find((there) => existsSync(path.join(there, ADDON_FILE))) ?? null;
}
