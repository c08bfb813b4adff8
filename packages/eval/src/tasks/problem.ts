// A task is a list of problems. This file holds the shape of one and reads the JSONL form
// ({"id","question","answer"} per line); it knows nothing of files or of models.

import { EvalError } from '../eval-error.ts';

export interface Problem {
  /** Unique within the task. */
  id: string;
  question: string;
  /** The gold answer as text: a number, a LaTeX expression, a list or a word. */
  answer: string;
  /** Every other field of the line, untouched (topic, level, source ...). */
  extra: Readonly<Record<string, unknown>>;
}

export interface ParsedProblems {
  problems: Problem[];
  /** One clear line per malformed line, with its line number. */
  errors: string[];
}

/**
 * Reads problems from JSONL text. Every malformed line gives one error and the others are still read, so that a person
 * sees all that is wrong at once. Empty lines are skipped; a byte-order mark is accepted.
 *
 * @param source Name shown in the errors, normally the file's.
 */
export function parseProblems(text: string, source: string): ParsedProblems {
  const problems: Problem[] = [];
  const errors: string[] = [];
  const lineOfId = new Map<string, number>();
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const where = `${source}:${index + 1}`;
    const parsed = parseLine(line);
    if (typeof parsed === 'string') {
      errors.push(`${where}: ${parsed}`);
      continue;
    }
    const earlier = lineOfId.get(parsed.id);
    if (earlier !== undefined) {
      errors.push(
        `${where}: the id ${JSON.stringify(parsed.id)} was already used on line ${earlier}; ids must be unique`,
      );
      continue;
    }
    lineOfId.set(parsed.id, index + 1);
    problems.push(parsed);
  }
  return { problems, errors };
}

/** As parseProblems, but throws one EvalError that lists every malformed line, or says that there is no problem at all. */
export function problemsOrThrow(text: string, source: string): Problem[] {
  const { problems, errors } = parseProblems(text, source);
  if (errors.length > 0) throw new EvalError(errors.join('\n'));
  if (problems.length === 0) {
    throw new EvalError(`${source}: no problems; expected lines of {"id","question","answer"}`);
  }
  return problems;
}

function parseLine(line: string): Problem | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return `not JSON (${(error as Error).message.split('\n')[0]})`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'expected an object {"id","question","answer"}';
  }
  const { id, question, answer, ...extra } = value as Record<string, unknown>;
  const idText = typeof id === 'number' ? String(id) : id;
  if (typeof idText !== 'string' || idText === '') return '"id" must be a non-empty string or a number';
  if (typeof question !== 'string' || question.trim() === '') return '"question" must be a non-empty string';
  const answerText = typeof answer === 'number' ? String(answer) : answer;
  if (typeof answerText !== 'string' || answerText.trim() === '') {
    return '"answer" must be a non-empty string or a number';
  }
  return { id: idText, question, answer: answerText, extra };
}
