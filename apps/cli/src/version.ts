// The version of the command, from its own package.json; the bundle has it put in at build time.
import manifest from '../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;
