// The value of an infix expression. mathjs only parses; nothing is ever evaluated by it: this file walks the syntax tree
// and accepts constants, + - * / ^, a few functions, pi and one-letter variables, so model text cannot call anything.
// Values are exact fractions as long as the operations keep them rational, doubles otherwise.

import { create, fractionDependencies, parseDependencies } from 'mathjs';
import type { Fraction, MathNode } from 'mathjs';

const math = create(
  { parseDependencies: parseDependencies!, fractionDependencies: fractionDependencies! },
  { number: 'Fraction' },
);

/** An exact rational, or a double where the expression is irrational. */
export type Value = { exact: Fraction } | { approximate: number };

/** Bounds numerators and denominators, so that 9^9^9 costs nothing. */
const MOST_BITS = 4096;

export interface ParsedExpression {
  node: MathNode;
  variables: readonly string[];
}

/** Parses infix text (see latexToInfix), or null when mathjs cannot read it or it holds anything outside the grammar. */
export function parseExpression(infix: string): ParsedExpression | null {
  let node: MathNode;
  try {
    node = math.parse(infix);
  } catch {
    return null;
  }
  const variables = new Set<string>();
  return allowed(node, variables) ? { node, variables: [...variables].sort() } : null;
}

const FUNCTIONS: Readonly<Record<string, (x: number) => number>> = {
  sqrt: Math.sqrt,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  ln: Math.log,
  exp: Math.exp,
  abs: Math.abs,
};

function allowed(node: MathNode, variables: Set<string>): boolean {
  if (math.isConstantNode(node)) return math.isFraction(node.value);
  if (math.isParenthesisNode(node)) return allowed(node.content, variables);
  if (math.isSymbolNode(node)) {
    if (node.name === 'pi') return true;
    if (!/^[a-zA-Z]$/.test(node.name)) return false;
    variables.add(node.name);
    return true;
  }
  if (math.isOperatorNode(node)) {
    return (
      ['+', '-', '*', '/', '^'].includes(node.op) &&
      node.args.every((argument) => allowed(argument, variables))
    );
  }
  if (math.isFunctionNode(node)) {
    const name = math.isSymbolNode(node.fn) ? node.fn.name : '';
    const arity = name === 'nthRoot' ? 2 : Object.hasOwn(FUNCTIONS, name) ? 1 : -1;
    return node.args.length === arity && node.args.every((argument) => allowed(argument, variables));
  }
  return false;
}

/** The value with the given variables, or null when it is undefined (division by zero, root of a negative) or too large. */
export function evaluate(node: MathNode, variables: Readonly<Record<string, Fraction>>): Value | null {
  if (math.isConstantNode(node)) return { exact: node.value as unknown as Fraction };
  if (math.isParenthesisNode(node)) return evaluate(node.content, variables);
  if (math.isSymbolNode(node)) {
    if (node.name === 'pi') return { approximate: Math.PI };
    const value = variables[node.name];
    return value === undefined ? null : { exact: value };
  }
  if (math.isOperatorNode(node) || math.isFunctionNode(node)) {
    const values: Value[] = [];
    for (const argument of node.args) {
      const value = evaluate(argument, variables);
      if (value === null) return null;
      values.push(value);
    }
    const name = math.isOperatorNode(node) ? node.op : (node.fn as unknown as { name: string }).name;
    return checked(apply(name, values));
  }
  return null;
}

function apply(name: string, values: readonly Value[]): Value | null {
  const [left, right] = values as [Value, Value | undefined];
  if (right === undefined) return applyOne(name, left);
  if (name === '^') return power(left, right);
  if (name === 'nthRoot') return power(left, apply('/', [{ exact: fraction(1) }, right]));
  if ('exact' in left && 'exact' in right) {
    const [a, b] = [left.exact, right.exact];
    if (name === '+') return { exact: a.add(b) };
    if (name === '-') return { exact: a.sub(b) };
    if (name === '*') return { exact: a.mul(b) };
    return b.n === 0n ? null : { exact: a.div(b) };
  }
  const [a, b] = [toNumber(left), toNumber(right)];
  if (name === '+') return { approximate: a + b };
  if (name === '-') return { approximate: a - b };
  if (name === '*') return { approximate: a * b };
  return { approximate: a / b };
}

function applyOne(name: string, value: Value): Value | null {
  if (name === '+') return value;
  if (name === '-')
    return 'exact' in value ? { exact: value.exact.neg() } : { approximate: -value.approximate };
  if (name === 'sqrt') return power(value, { exact: fraction('1/2') });
  if (name === 'abs' && 'exact' in value) return { exact: value.exact.abs() };
  return { approximate: FUNCTIONS[name]!(toNumber(value)) };
}

function power(base: Value, exponent: Value | null): Value | null {
  if (exponent === null) return null;
  if ('exact' in base && 'exact' in exponent) {
    const [b, e] = [base.exact, exponent.exact];
    if (b.n === 0n && e.s <= 0n) return null;
    const size = (b.n.toString(2).length + b.d.toString(2).length) * Number(e.n);
    if (size <= MOST_BITS) {
      // Null from fraction.js means "irrational"; a root of a negative number is undefined here.
      const exact = b.s < 0n && e.d !== 1n ? null : b.pow(e);
      if (exact !== null) return { exact };
    }
  }
  return { approximate: toNumber(base) ** toNumber(exponent) };
}

function checked(value: Value | null): Value | null {
  if (value === null) return null;
  if ('approximate' in value) return Number.isFinite(value.approximate) ? value : null;
  const { n, d } = value.exact;
  return n.toString(2).length + d.toString(2).length > 2 * MOST_BITS ? null : value;
}

export function toNumber(value: Value): number {
  return 'exact' in value ? value.exact.valueOf() : value.approximate;
}

/** A mathjs fraction (numerator and denominator are BigInt). */
export function fraction(value: number | string): Fraction {
  return math.fraction(value) as Fraction;
}
