// The Node face of the eval package: task files, output folders, whole evaluations.

export { evaluate } from './evaluate.ts';
export type { Arm, EvaluateOptions, EvaluateResult } from './evaluate.ts';
export { loadTask, problemsSha256, taskNames } from './load-task.ts';
export type { Task } from './load-task.ts';
export { armFileName } from './out-folder.ts';
