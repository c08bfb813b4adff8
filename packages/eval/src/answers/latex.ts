// From the LaTeX that models write to plain infix that a maths parser reads: macros become operators, implied products
// become explicit, mixed numbers become sums. It does not evaluate anything. Text that is not an expression gives null.

/** Longer answers are prose, and would only cost time in the parser. */
const LONGEST = 400;
const DEEPEST = 24;

const SPACING =
  /(?<!\\)\\[,;:!> ]|~|\\q?quad\b|\\(?:left|right|big|Big|bigg|Bigg|displaystyle|textstyle|limits)(?![a-zA-Z])/g;

/** Removes what has no bearing on the value: dollars, spacing macros, \text, degree and percent signs, units, final stops. */
export function tidyLatex(text: string): string {
  let tidy = withoutSmallDigits(text)
    .normalize('NFKC')
    .replace(/\\\$/g, '')
    .replace(/\$|\\\(|\\\)|\\\[|\\\]/g, '')
    .replace(/(\d)(?:\{,\}|\\,|\\!,|,\\!)\s*(?=\d{3}(?!\d))/g, '$1')
    .replace(/\\[dtc]frac(?![a-zA-Z])/g, '\\frac')
    .replace(/[\u2212\u2013\u2014]/g, '-')
    .replace(/[\u00d7\u00b7\u2217\u22c5]|\\cdot(?![a-zA-Z])|\\times(?![a-zA-Z])|\\ast(?![a-zA-Z])/g, '*')
    .replace(/\u00f7|\\div(?![a-zA-Z])/g, '/')
    .replace(/\u03c0/g, '\\pi ')
    .replace(/\u221a/g, '\\sqrt ')
    .replace(/\u221e/g, '\\infty ')
    .replace(/\u2264\s*|\\leq?(?![a-zA-Z])\s*/g, '\\leq ')
    .replace(/\u2265\s*|\\geq?(?![a-zA-Z])\s*/g, '\\geq ')
    .replace(/\u2205|\\varnothing(?![a-zA-Z])/g, '\\emptyset ')
    .replace(/(^|[,(]\s*)\+\s*(?=\\infty)/g, '$1')
    .replace(/\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree(?![a-zA-Z])/g, '')
    .replace(/\\?%/g, '')
    .replace(/_\s*\{(\w+)\}/g, '_$1')
    .replace(SPACING, ' ');
  tidy = dropUnits(tidy).replace(
    /\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}/g,
    ' $1 ',
  );
  return tidy
    .replace(/^\s*[a-zA-Z]\s*\\in(?![a-zA-Z])/, '') // "x \\in [0, 1]" states the interval
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[.,;]+$/, '')
    .trim();
}

const SUPERSCRIPTS = '\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b';

/** Raised digits as powers and characters such as one half as fractions: NFKC would make "2\u00b3" 23 and "2\u00bd" 21/2. */
function withoutSmallDigits(text: string): string {
  return text
    .replace(new RegExp(`[${SUPERSCRIPTS}]+`, 'g'), (digits) => `^{${raised(digits)}}`)
    .replace(
      /[\u00bc-\u00be\u2150-\u215e]/g,
      (one) => `\\frac{${one.normalize('NFKC').replace('\u2044', '}{')}}`,
    )
    .replaceAll('\u2044', '/');
}

function raised(digits: string): string {
  return Array.from(digits, (one) => '0123456789+-'[SUPERSCRIPTS.indexOf(one)]).join('');
}

/** Words behind a number that change its value, so that they are no unit. */
const NO_UNIT = String.raw`(?!\s*(?:and|or|pi|sqrt|hundred|thousand|million|billion|trillion|dozen)(?![a-z]))`;
const PLAIN_UNIT = new RegExp(
  String.raw`^(\s*[-+]?\d[\d.,/]*)\s+${NO_UNIT}[a-z]{2,}(?:\s+[a-z]+)*\s*\.?\s*$`,
  'i',
);
const TEXT_UNIT = new RegExp(
  String.raw`([\d})])\s*\\(?:text|mathrm|mbox)\s*\{${NO_UNIT}[^{}]*\}(?:\s*\^\s*\{?\d\}?)?\s*\.?\s*$`,
  'i',
);

/** A unit after a number says nothing about the value: "12 \text{ cm}^2", "12 apples". */
function dropUnits(text: string): string {
  return text.replace(TEXT_UNIT, '$1').replace(PLAIN_UNIT, '$1');
}

type Token = { kind: 'operand' | 'integer' | 'mixed' | 'operator' | 'open' | 'close'; text: string };

/** Plain infix with explicit products, or null when the text is not a single expression. Expects tidied text. */
export function latexToInfix(tidy: string): string | null {
  if (tidy === '' || tidy.length > LONGEST) return null;
  // Words alone are words, not products of letters ("no" must not equal "on").
  if (/^[a-zA-Z]{2,}$/.test(tidy) && tidy !== 'pi') return null;
  try {
    return new Reader(tidy, 0).expression();
  } catch (error) {
    if (error instanceof NotMaths) return null;
    throw error;
  }
}

class NotMaths extends Error {}

class Reader {
  readonly source: string;
  readonly depth: number;
  at = 0;

  constructor(source: string, depth: number) {
    if (depth > DEEPEST) throw new NotMaths();
    this.source = source;
    this.depth = depth;
  }

  expression(): string {
    const tokens: Token[] = [];
    while (this.at < this.source.length) {
      const token = this.next();
      if (token === null) continue;
      const glue = joint(tokens.at(-1), token);
      if (glue !== '') tokens.push({ kind: 'operator', text: glue });
      tokens.push(token);
    }
    if (tokens.length === 0) throw new NotMaths();
    return mergeMixed(tokens);
  }

  private next(): Token | null {
    const rest = this.source.slice(this.at);
    const space = /^\s+/.exec(rest);
    if (space) {
      this.at += space[0].length;
      return null;
    }
    const number = /^(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)/.exec(rest);
    if (number) {
      this.at += number[0].length;
      const text = number[0].replaceAll(',', '').replace(/\.$/, '');
      return { kind: /^\d+$/.test(text) ? 'integer' : 'operand', text };
    }
    const character = rest[0]!;
    if (character === '\\') return this.macro();
    if (character === '{') return { kind: 'operand', text: `(${this.sub(this.argument())})` };
    this.at++;
    if ('([|'.includes(character) && character !== '|') return { kind: 'open', text: '(' };
    if (')]'.includes(character)) return { kind: 'close', text: ')' };
    if (character === '^') return { kind: 'operator', text: `^(${this.sub(this.exponent())})` };
    if ('+-*/'.includes(character)) return { kind: 'operator', text: character };
    if (/[a-zA-Z]/.test(character)) {
      if (rest.startsWith('pi')) {
        this.at++;
        return { kind: 'operand', text: 'pi' };
      }
      if (rest.startsWith('sqrt')) {
        this.at += 3;
        return this.root();
      }
      return { kind: 'operand', text: character };
    }
    throw new NotMaths();
  }

  private macro(): Token {
    const name = /^\\([a-zA-Z]+)/.exec(this.source.slice(this.at))?.[1];
    if (name === undefined) throw new NotMaths();
    this.at += name.length + 1;
    switch (name) {
      case 'frac': {
        const [above, below] = [this.argument(), this.argument()];
        const whole = /^\d+$/.test(above) && /^\d+$/.test(below);
        return { kind: whole ? 'mixed' : 'operand', text: `((${this.sub(above)})/(${this.sub(below)}))` };
      }
      case 'sqrt':
        return this.root();
      case 'pi':
        return { kind: 'operand', text: 'pi' };
      case 'sin':
      case 'cos':
      case 'tan':
      case 'ln':
      case 'exp':
        return { kind: 'operand', text: `${name}(${this.sub(this.argument())})` };
      default:
        throw new NotMaths();
    }
  }

  private root(): Token {
    const degree = /^\s*\[([^[\]]*)\]/.exec(this.source.slice(this.at));
    if (degree) this.at += degree[0].length;
    const inside = this.sub(this.argument());
    return {
      kind: 'operand',
      text: degree ? `nthRoot(${inside}, ${this.sub(degree[1]!)})` : `sqrt(${inside})`,
    };
  }

  /** As an argument; but "2^10", which TeX would set as a 2^1 and a 0, is how people write 1024. */
  private exponent(): string {
    const digits = /^\s*-?\d{2,}/.exec(this.source.slice(this.at))?.[0];
    if (digits === undefined) return this.argument();
    this.at += digits.length;
    return digits.trim();
  }

  /** The next macro argument: a braced group, a bracketed one, one macro, or one character. */
  private argument(): string {
    while (this.source[this.at] === ' ') this.at++;
    const character = this.source[this.at];
    if (character === undefined) throw new NotMaths();
    if (character === '{' || character === '(') return this.group(character, character === '{' ? '}' : ')');
    if (character === '\\') {
      const start = this.at;
      this.macro();
      return this.source.slice(start, this.at);
    }
    const short = /^-?[0-9a-zA-Z]/.exec(this.source.slice(this.at));
    if (!short) throw new NotMaths();
    this.at += short[0].length;
    return short[0];
  }

  private group(open: string, close: string): string {
    const start = this.at + 1;
    let depth = 0;
    for (; this.at < this.source.length; this.at++) {
      if (this.source[this.at] === open) depth++;
      else if (this.source[this.at] === close && --depth === 0) return this.source.slice(start, this.at++);
    }
    throw new NotMaths();
  }

  private sub(text: string): string {
    return new Reader(text, this.depth + 1).expression();
  }
}

function joint(before: Token | undefined, after: Token): string {
  if (before === undefined) return '';
  const left = before.kind !== 'operator' && before.kind !== 'open';
  const right = after.kind !== 'operator' && after.kind !== 'close';
  if (!left || !right) return '';
  // "12 34" is two numbers, not a product.
  if (before.kind === 'integer' && after.kind === 'integer') throw new NotMaths();
  return before.kind === 'integer' && after.kind === 'mixed' ? 'mixed' : '*';
}

/** Joins tokens; "3\frac{1}{2}" is three and a half, and binds tighter than anything around it. */
function mergeMixed(tokens: readonly Token[]): string {
  const parts: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i]!.text === 'mixed' && tokens[i]!.kind === 'operator') {
      parts.push(`(${parts.pop()}+${tokens[++i]!.text})`);
    } else parts.push(tokens[i]!.text);
  }
  return parts.join('');
}
