// The version of the bridge, from its own package.json; the installed package has it put in when it is built.
import manifest from '../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;
