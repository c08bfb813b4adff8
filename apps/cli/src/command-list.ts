// Every sub-command with its line in `baton --help`. Loading one loads its packages, so that `--help` stays quick and a
// missing optional part breaks only the command that needs it.
import type { CommandEntry } from '@baton/bridge/frame';

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'solve',
    summary: 'answer a question with two models and show who wrote what',
    load: async () => (await import('./commands/solve.ts')).solveCommand(),
  },
  {
    name: 'serve',
    summary: 'OpenAI-compatible server on this machine, with a local model or a relay behind it',
    load: async () => (await import('./commands/serve.ts')).serveCommand(),
  },
  {
    name: 'doctor',
    summary: 'execution targets on this machine, and why others are missing',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  },
  {
    name: 'install-runtime',
    summary: "fetch OpenVINO's binary for the NPU and Intel GPU targets",
    load: async () => (await import('./commands/install-runtime.ts')).installRuntimeCommand(),
  },
  {
    name: 'compile',
    summary: 'compile a Hugging Face checkpoint into static graphs',
    load: async () => (await import('./commands/compile.ts')).compileCommand(),
  },
  {
    name: 'generate',
    summary: 'continue a prompt with a local model',
    load: async () => (await import('./commands/generate.ts')).generateCommand(),
  },
  {
    name: 'score',
    summary: 'log-probabilities of a text under a local model',
    load: async () => (await import('./commands/score.ts')).scoreCommand(),
  },
  {
    name: 'eval',
    summary: 'compare policies on a task, with confidence intervals',
    load: async () => (await import('./commands/eval.ts')).evalCommand(),
  },
  {
    name: 'annotate',
    summary: 'mark offload spans in reasoning traces and write training rows',
    load: async () => (await import('./commands/annotate.ts')).annotateCommand(),
  },
  {
    name: 'bench',
    summary: "measure decode, prefill, load and hand-off beside this machine's memory bandwidth",
    load: async () => (await import('./commands/bench.ts')).benchCommand(),
  },
];
