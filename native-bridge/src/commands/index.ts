// Every sub-command of `baton-bridge` with its line in `--help`.
import type { CommandEntry } from '../cli/frame.ts';

const lifecycle = (): Promise<typeof import('./lifecycle.ts')> => import('./lifecycle.ts');
const pairing = (): Promise<typeof import('./pair.ts')> => import('./pair.ts');

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'serve',
    summary: 'serve a model (or a relay of two) in this terminal until Ctrl-C',
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  {
    name: 'install',
    summary: 'start the bridge at every log-in, with the same options as serve, and now',
    load: async () => (await import('./install.ts')).installCommand(),
  },
  {
    name: 'start',
    summary: 'start the installed bridge in the background',
    load: async () => (await lifecycle()).startCommand(),
  },
  {
    name: 'stop',
    summary: 'stop the bridge that runs in the background',
    load: async () => (await lifecycle()).stopCommand(),
  },
  {
    name: 'status',
    summary: 'what runs, where, and whether it answers',
    load: async () => (await lifecycle()).statusCommand(),
  },
  {
    name: 'logs',
    summary: 'the log of the bridge in the background',
    load: async () => (await import('./logs.ts')).logsCommand(),
  },
  {
    name: 'update',
    summary: 'install a newer version and start the bridge on it',
    load: async () => (await import('./update.ts')).updateCommand(),
  },
  {
    name: 'uninstall',
    summary: 'stop the bridge and take it out of the log-in',
    load: async () => (await lifecycle()).uninstallCommand(),
  },
  {
    name: 'pair',
    summary: 'a one-time code that pairs a page with the running bridge',
    load: async () => (await pairing()).pairCommand(),
  },
  {
    name: 'tokens',
    summary: 'who is paired, a token for a program, an end to either',
    load: async () => (await pairing()).tokensCommand(),
  },
  {
    name: 'doctor',
    summary: 'execution targets on this machine, and why others are missing',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  {
    name: 'install-runtime',
    summary: "fetch OpenVINO's binary for the NPU and Intel GPU targets",
    load: async () => (await import('./install-runtime.ts')).installRuntimeCommand(),
  },
];
