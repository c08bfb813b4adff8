// What a service manager is asked to run, and what every manager must be able to do with it.

export interface ServiceDefinition {
  /** Program and arguments; nothing in them is interpreted by a shell. */
  command: readonly string[];
  /** Environment variables that the service needs beside its session's own. */
  environment: Readonly<Record<string, string>>;
  /** Where the folder of the log is; for managers that keep what a program prints in files. */
  logFolder: string;
}

export type Step = readonly string[];

/** One system's way of running a program for a person at log-in. Files and command lines only; nothing is run here. */
export interface ServiceManager {
  name: string;
  /** Absolute path of the file that describes the service. */
  file: string;
  content(definition: ServiceDefinition): string | Uint8Array;
  /** A command that succeeds where the manager works for this person. */
  check: Step;
  /** Commands in order; each must succeed. */
  install: readonly Step[];
  start: readonly Step[];
  stop: readonly Step[];
  /** Run before the file is removed; a failure is no obstacle. */
  remove: readonly Step[];
  /** Run after it. */
  removed: readonly Step[];
  /** What a person does where `check` fails. */
  hint: string;
}
