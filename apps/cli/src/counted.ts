// "1 span", "2 spans": a number with its noun.

/** @param plural Where it is not the noun with an "s". */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
