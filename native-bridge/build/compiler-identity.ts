// Puts the compiler's identity, which the sources find out from themselves, into the build as a constant.
import type { Plugin } from 'vite';
import { compilerIdentity as identityOfSources } from '../../packages/runtime/src/node/compiler-identity.ts';

const FILE = '/packages/runtime/src/node/compiler-identity.ts';

export function compilerIdentity(): Plugin {
  return {
    name: 'bridge:compiler-identity',
    enforce: 'pre',
    async load(id) {
      if (!id.replaceAll('\\', '/').endsWith(FILE)) return null;
      const identity = JSON.stringify(await identityOfSources());
      return `export async function compilerIdentity() { return ${identity}; }`;
    },
  };
}
