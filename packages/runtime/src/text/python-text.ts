// What Python's str methods of the same names give, for chat templates, which are written for Jinja2 and so for Python.

/** The white space of Python's str.isspace(): not JavaScript's, which lacks U+001C to U+001F and U+0085 and has U+FEFF. */
const SPACES =
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000';

/** The characters at which str.splitlines() ends a line, besides \r\n. */
const LINE_ENDS = '\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029';

/** The methods by name. Each takes the text first; the arguments are a template's, so of any type. Each throws for one it cannot take. */
export const PYTHON_TEXT: Readonly<Record<string, (text: unknown, ...args: unknown[]) => unknown>> = {
  strip: (text, chars) => lstrip(rstrip(word(text), set(chars)), set(chars)),
  lstrip: (text, chars) => lstrip(word(text), set(chars)),
  rstrip: (text, chars) => rstrip(word(text), set(chars)),
  removeprefix: (text, prefix) =>
    word(text).startsWith(word(prefix)) ? word(text).slice(word(prefix).length) : text,
  removesuffix: (text, suffix) =>
    word(text).endsWith(word(suffix)) ? word(text).slice(0, word(text).length - word(suffix).length) : text,
  splitlines: (text, ...rest) => {
    if (rest.length > 0) throw new TypeError('splitlines() takes no argument here');
    const lines = word(text).split(new RegExp(`\r\n|[${LINE_ENDS}]`));
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  },
};

function lstrip(text: string, chars: ReadonlySet<string>): string {
  let from = 0;
  for (const char of text) {
    if (!chars.has(char)) break;
    from += char.length;
  }
  return text.slice(from);
}

function rstrip(text: string, chars: ReadonlySet<string>): string {
  let to = text.length;
  while (to > 0) {
    const pair = String.fromCodePoint(text.codePointAt(Math.max(0, to - 2))!);
    const last = pair.length === 2 ? pair : text[to - 1]!;
    if (!chars.has(last)) break;
    to -= last.length;
  }
  return text.slice(0, to);
}

function set(chars: unknown): ReadonlySet<string> {
  return new Set(chars === undefined || chars === null ? SPACES : word(chars));
}

function word(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`a text was expected where the template has ${value === null ? 'none' : typeof value}`);
}
