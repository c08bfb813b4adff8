// The relay's notes and errors in the page's own words: theirs are also for people who compile models and run servers.

/** Note of a run that the page did not see to its end. */
export const UNFINISHED = 'the page was closed while this run went on';

/** As the runtime says it of a context that has no room. */
const FULL = String.raw`(\d+) more tokens do not fit: (\d+) of (\d+) slots are used; [^;]*larger context`;
const TOO_LONG = FULL.replace(String.raw`(\d+) of`, '0 of');
const WARM_UPS = 'keep-warm requests stopped: ';

/** One note, or the detail of one segment. */
export function inWords(line: string): string {
  return (
    line
      .replace(
        new RegExp(`^the (small|large) (?:model stopped|endpoint failed): ${TOO_LONG}`),
        'the question is too long for the $1 model: $2 of at most $3 tokens',
      )
      .replace(new RegExp(TOO_LONG), 'the question is too long: $1 of at most $2 tokens')
      .replace(new RegExp(FULL), 'no room for $1 more tokens: $2 of $3 are used')
      // What follows on a question or on a full stop is a sentence of its own.
      .replace(/([.?!]); (.)/g, (_, end: string, first: string) => `${end} ${first.toUpperCase()}`)
  );
}

/** What a person should know of a run, each thing once. */
export function notesInWords(notes: readonly string[]): string[] {
  const told = notes.filter((note) => {
    if (!note.startsWith(WARM_UPS)) return true;
    const cause = note.slice(WARM_UPS.length);
    return !notes.some((other) => other !== note && other.includes(cause));
  });
  return [...new Set(told.map(inWords))];
}

/** `message` as a sentence, whatever it ends with. */
export function sentence(message: string): string {
  return /[.?!…]$/.test(message) ? message : `${message}.`;
}
