// One reasoning trace to annotate, and how it is read from a line of JSONL. Several common layouts are taken; which field
// held the trace is remembered nowhere, because only the text matters afterwards.

export interface ReasoningRow {
  id: string;
  question: string;
  /** The whole reasoning text, as the model wrote it. */
  text: string;
  /** What the text was continued from, where the row records it (a relay trace does). */
  prompt: string | null;
}

export interface ParsedRows {
  rows: ReasoningRow[];
  /** One clear line per malformed line, with its number. */
  errors: string[];
}

/**
 * Reads JSONL rows of any of these forms:
 * {"id","question","trace": "text"} (or "text" / "solution" for the trace, "problem" for the question),
 * {"id","messages":[{"role":"user",...},{"role":"assistant",...}]} (the last assistant turn is the trace),
 * {"id","trace": {...}} with a relay trace (schema baton.trace/1), as an evaluation writes them.
 */
export function parseRows(text: string, source: string): ParsedRows {
  const rows: ReasoningRow[] = [];
  const errors: string[] = [];
  const lineOfId = new Map<string, number>();
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === '') continue;
    const row = parseRow(line);
    const fault = typeof row === 'string' ? row : repeated(row, lineOfId, index + 1);
    if (fault !== null) errors.push(`${source}:${index + 1}: ${fault}`);
    else rows.push(row as ReasoningRow);
  }
  return { rows, errors };
}

function repeated(row: ReasoningRow, lineOfId: Map<string, number>, line: number): string | null {
  const earlier = lineOfId.get(row.id);
  if (earlier !== undefined)
    return `the id ${JSON.stringify(row.id)} was already used on line ${earlier}; ids must be unique`;
  lineOfId.set(row.id, line);
  return null;
}

function parseRow(line: string): ReasoningRow | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return `not JSON (${(error as Error).message.split('\n')[0]})`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'expected an object';
  const row = value as Record<string, unknown>;
  const id = identify(row);
  if (id === null) return '"id" must be a non-empty string or a number';
  const messages = Array.isArray(row['messages']) ? (row['messages'] as unknown[]) : null;
  const relay =
    typeof row['trace'] === 'object' && row['trace'] !== null
      ? (row['trace'] as Record<string, unknown>)
      : null;
  const question = firstText(relay?.['question'], row['question'], row['problem'], turn(messages, 'user'));
  const text = firstText(
    relay?.['text'],
    row['trace'],
    row['text'],
    row['solution'],
    turn(messages, 'assistant'),
  );
  if (question === null) return 'no question: give "question", "problem" or a user message';
  if (text === null) return 'no reasoning text: give "trace", "text", "solution" or an assistant message';
  return { id, question, text, prompt: firstText(relay?.['prompt'], row['prompt']) };
}

function identify(row: Record<string, unknown>): string | null {
  const id = row['id'] ?? row['uuid'];
  const name = typeof id === 'number' ? String(id) : id;
  if (typeof name !== 'string' || name === '') return null;
  // Rows of an evaluation are told apart by their sample too.
  const sample = row['sample'];
  return typeof sample === 'number' && sample > 0 ? `${name}#${sample}` : name;
}

function turn(messages: readonly unknown[] | null, role: string): unknown {
  const turns = (messages ?? []).filter((one) => (one as { role?: unknown } | null)?.role === role);
  const chosen = role === 'assistant' ? turns.at(-1) : turns[0];
  return (chosen as { content?: unknown } | undefined)?.content;
}

function firstText(...values: readonly unknown[]): string | null {
  for (const value of values) if (typeof value === 'string' && value.trim() !== '') return value;
  return null;
}
