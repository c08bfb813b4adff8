// Files of JSON lines that survive a crash; shared with the annotation package. Node only.

export { openJsonlLog, readJsonlLog, writeFileWhole } from './jsonl-log.ts';
export { makeFolder } from './make-folder.ts';
export type { JsonlContents, JsonlLog } from './jsonl-log.ts';
