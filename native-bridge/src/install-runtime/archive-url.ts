// Where OpenVINO's binary for Node is published, by the openvino-node package's own metadata. Platforms as its install
// script has them (scripts/lib/binary-manager.js of openvino-node 2026.4).
import type { OpenvinoPackage } from '../openvino/runtime-folder.ts';

const PUBLISHED: ReadonlySet<string> = new Set(['linux-x64', 'linux-arm64', 'win32-x64', 'darwin-arm64']);

/** Throws with one line where there is no binary for this kind of machine. */
export function archiveUrl(
  { version, binary }: OpenvinoPackage,
  platform: string = process.platform,
  arch: string = process.arch,
): string {
  if (!PUBLISHED.has(`${platform}-${arch}`))
    throw new Error(
      `OpenVINO publishes no Node binary for ${platform}-${arch}, only for ${[...PUBLISHED].join(', ')}; Baton runs there without it`,
    );
  const filled = `${binary.remote_path}${binary.package_name}`
    .replaceAll('{version}', version)
    .replaceAll('{platform}', platform)
    .replaceAll('{arch}', arch);
  return new URL(filled, binary.host).href;
}
