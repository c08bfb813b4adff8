// Versions of what the targets stand on, for doctor and for bug reports.
import { createRequire } from 'node:module';
import os from 'node:os';

/** Packages that are not installed are left out. */
export async function versions(): Promise<Record<string, string>> {
  const found: Record<string, string> = {
    node: process.versions.node,
    system: `${os.type()} ${os.release()} ${os.arch()}`,
  };
  const require = createRequire(import.meta.url);
  for (const name of ['onnxruntime-node', 'openvino-node']) {
    try {
      found[name] = (require(`${name}/package.json`) as { version: string }).version;
    } catch {
      // Not installed: its target's line says so.
    }
  }
  return found;
}
