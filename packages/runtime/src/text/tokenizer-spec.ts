// A tokenizer.json rewritten so that @huggingface/tokenizers cuts texts as Hugging Face's own implementation does: where
// the two differ (found by comparing them, test/fixtures/make_tokenizers.py), a step is said with others that both read
// alike. What a text becomes must not depend on who reads the file.

type Step = Readonly<Record<string, unknown>> & { type: string };

/** Rust's \w: alphabetic, marks, decimal digits, connectors, joiners (Unicode TR 18). JavaScript's knows ASCII only. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';
/** Unicode's punctuation, and ASCII's symbols with it. */
const PUNCTUATION = '\\p{P}\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E';

/** `json` as parsed; a new object where something had to be said otherwise. */
export function exactSpec<T>(json: T): T {
  const steps = (json as { pre_tokenizer?: Step | null } | null)?.pre_tokenizer;
  return steps ? { ...json, pre_tokenizer: exactStep(steps) } : json;
}

function exactStep(step: Step): Step {
  switch (step.type) {
    case 'Sequence':
      return { ...step, pretokenizers: (step.pretokenizers as Step[]).map(exactStep) };
    case 'Whitespace':
      return matches(`[${WORD}]+|[^${WORD}\\s]+`);
    case 'Digits':
      return isolated(step.individual_digits ? '\\p{N}' : '\\p{N}+');
    case 'Punctuation':
      return split(`[${PUNCTUATION}]`, (step.behavior as string | undefined) ?? 'Isolated');
    case 'CharDelimiterSplit':
      return split(escape(step.delimiter as string), 'Removed');
    case 'Metaspace':
      return metaspace(step);
    case 'Split':
      return exactSplit(step);
    default:
      return step;
  }
}

/** Without a say in `prepend_scheme` the older add_prefix_space counts; and words are cut apart before the model. */
function metaspace(step: Step): Step {
  const { replacement = '\u2581', prepend_scheme, add_prefix_space, split: cut = true } = step;
  const whole = {
    ...step,
    prepend_scheme: prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always'),
  };
  if (!cut) return whole;
  return { type: 'Sequence', pretokenizers: [whole, split(escape(replacement as string), 'MergedWithNext')] };
}

function exactSplit(step: Step): Step {
  const { String: text, Regex: regex } = step.pattern as { String?: string; Regex?: string };
  const behaviour = step.behavior as string;
  // Inverted, what matches and what lies between change places, which nobody sees where both are kept.
  if (step.invert) return behaviour === 'Isolated' ? { ...step, invert: false } : step;
  if (behaviour === 'Isolated' || behaviour === 'Removed') return step;
  return split(regex ?? escape(text ?? ''), behaviour);
}

/** A Split that keeps, drops or joins what `pattern` matches, in terms of the two behaviours that are read alike. */
function split(pattern: string, behaviour: string): Step {
  const other = `(?:(?!${pattern})[\\s\\S])`;
  switch (behaviour) {
    case 'Removed':
      return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: false };
    case 'Contiguous':
      return isolated(`(?:${pattern})+`);
    case 'MergedWithNext':
      return matches(`(?:${pattern})${other}*|${other}+`);
    case 'MergedWithPrevious':
      return matches(`${other}*(?:${pattern})|${other}+`);
    default:
      return isolated(pattern);
  }
}

function isolated(pattern: string): Step {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
}

/** Only what matches. */
function matches(pattern: string): Step {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: true };
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
