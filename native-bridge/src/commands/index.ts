// Every sub-command of `baton-bridge` with its line in `--help`.
import type { CommandEntry } from '../cli/frame.ts';

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'serve',
    summary: 'serve a model (or a relay of two) in this terminal until Ctrl-C',
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  {
    name: 'doctor',
    summary: 'execution targets on this machine, and why others are missing',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
];
