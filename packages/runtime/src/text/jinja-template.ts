// A Jinja template rendered as transformers renders chat templates, in Python. @huggingface/jinja does the work; in front of it stands what
// its version 0.5.11 does otherwise. Each part can go when the library does it: newlines, `{%+` and `+%}` in the source, strftime_now, the
// arguments and the white space of the strip methods, and `==`, which it leaves to JavaScript's operator of that name: there '' is false.

import { Template } from '@huggingface/jinja';
import { equal } from './python-equal.ts';
import { PYTHON_TEXT } from './python-text.ts';
import { strftime } from './strftime.ts';

/** No template can have such a name of its own. */
const OURS = 'python.';

const FUNCTIONS: Readonly<Record<string, unknown>> = {
  ...Object.fromEntries(Object.entries(PYTHON_TEXT).map(([name, method]) => [OURS + name, method])),
  // Jinja2 writes what is undefined as nothing.
  [`${OURS}trim`]: (text: unknown) => (text === undefined ? '' : PYTHON_TEXT.strip!(text)),
  [`${OURS}==`]: equal,
  [`${OURS}!=`]: (one: unknown, other: unknown) => !equal(one, other),
  [`${OURS}strftime_now`]: (format: string) => strftime(new Date(), format),
};

export class JinjaTemplate {
  readonly #template: Template;

  /** Throws for a source that does not parse. */
  constructor(source: string) {
    this.#template = new Template(likeJinja2(source));
    callOurs(this.#template.parsed);
  }

  /** Throws what the template raises, and for what the library lacks. */
  render(variables: Readonly<Record<string, unknown>>): string {
    return this.#template.render({ ...variables, ...FUNCTIONS });
  }
}

/** Jinja2 reads every kind of newline as \n; with `+` a tag keeps the white space beside it, as it does beside an empty expression. */
function likeJinja2(source: string): string {
  return source.replace(/\r\n?/g, '\n').replaceAll('{%+', "{{ '' }}{%").replaceAll('+%}', "%}{{ '' }}");
}

interface Node {
  type: string;
  value?: unknown;
  callee?: Node;
  args?: unknown[];
  object?: Node;
  property?: Node;
  computed?: boolean;
  operand?: Node;
  filter?: Node;
  operator?: Node;
  left?: Node;
  right?: Node;
}

/** Lets a parsed template call the functions here instead of the library's: `text.strip(…)`, `text | trim`, `strftime_now(…)`, `one == other`. */
function callOurs(part: unknown): void {
  if (typeof part !== 'object' || part === null) return;
  if (part instanceof Map) return part.forEach((value, key) => [key, value].forEach(callOurs));
  Object.values(part).forEach(callOurs);
  const node = part as Node;
  const { callee, operand, filter, operator, left, right } = node;
  if (node.type === 'CallExpression' && callee?.type === 'MemberExpression' && !callee.computed) {
    const { object, property } = callee;
    if (!Object.hasOwn(PYTHON_TEXT, String(property!.value))) return;
    node.callee = named(property!);
    node.args = [object, ...node.args!];
  } else if (node.type === 'CallExpression' && callee?.value === 'strftime_now') {
    node.callee = named(callee);
  } else if (node.type === 'FilterExpression' && filter?.type === 'Identifier' && filter.value === 'trim') {
    Object.assign(node, { type: 'CallExpression', callee: named(filter), args: [operand] });
  } else if (node.type === 'BinaryExpression' && ['==', '!='].includes(String(operator!.value))) {
    Object.assign(node, { type: 'CallExpression', callee: named(operator!), args: [left, right] });
  }
}

function named(identifier: Node): Node {
  return { type: 'Identifier', value: OURS + String(identifier.value) };
}
