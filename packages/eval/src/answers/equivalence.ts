// Whether two answers mean the same: numbers in any notation, simple LaTeX, tuples, sets and intervals, equations,
// plain words. It is exact for rationals; irrational values must agree to 9 digits; expressions with variables must agree
// at several rational points (a polynomial identity test). No model judges, and no model text is executed.

import type { Fraction } from 'mathjs';
import { latexToInfix, tidyLatex } from './latex.ts';
import { evaluate, fraction, parseExpression, toNumber } from './value.ts';
import type { ParsedExpression } from './value.ts';

const RELATIVE_TOLERANCE = 1e-9;

/** Points at which expressions with variables are compared; unrelated primes make a chance agreement unlikely. */
const POINTS: readonly (readonly string[])[] = [
  ['7/3', '11/5', '13/7', '17/11', '19/13', '23/17'],
  ['29/2', '31/9', '37/4', '41/6', '43/10', '47/12'],
  ['3/53', '59/8', '5/61', '67/15', '7/71', '73/14'],
];

/** True when both texts state the same answer. Symmetric. */
export function isEquivalent(left: string, right: string): boolean {
  const [a, b] = [tidyLatex(left), tidyLatex(right)];
  if (a === '' || b === '') return false;
  if (sameWords(a, b)) return true;
  const [listA, listB] = [readList(a), readList(b)];
  if (listA.items.length !== 1 || listB.items.length !== 1) return sameList(listA, listB);
  if (listA.open !== listB.open && (isInterval(listA) || isInterval(listB))) return false;
  const [itemA, itemB] = [listA.items[0]!, listB.items[0]!];
  return sameExpression(itemA, itemB) || sameExpression(fromScientific(itemA), fromScientific(itemB));
}

/** "1.5e-3" as programs write it. "2e-3" may also be twice Euler's number less three, so either reading counts. */
function fromScientific(text: string): string {
  return text.replace(
    /^([-+]?(?:\d+(?:\.\d*)?|\.\d+))[eE]([-+]?\d{1,4})$/,
    (_, digits: string, power: string) => {
      return `${digits}*10^{${power.replace('+', '')}}`;
    },
  );
}

function sameWords(a: string, b: string): boolean {
  // White space beside a sign or a bracket means nothing; between two words or numbers it does.
  const word = (text: string): string =>
    text
      .replace(/^\((.)\)$/, '$1')
      .replace(/\s*([^A-Za-z0-9\s])\s*/g, '$1')
      .replace(/\s+/g, ' ')
      .toLowerCase();
  return word(a) === word(b);
}

interface AnswerList {
  open: '' | '(' | '[' | '{';
  close: '' | ')' | ']' | '}';
  items: string[];
}

const isInterval = (list: AnswerList): boolean =>
  list.items.length > 1 && (list.open === '(' || list.open === '[');

/** "(1, 2)", "[0, 1)", "\{1, 2\}", "1 and 2", "1 \pm 2". A thousands comma ("1,234") is part of a number, but not in brackets. */
function readList(text: string): AnswerList {
  const set = /^\\\{(.*)\\\}$/s.exec(text);
  const inside = set ? set[1]! : /^[([].*[)\]]$/s.test(text) && wraps(text) ? text.slice(1, -1) : text;
  const bare = inside === text;
  const open = set ? '{' : bare ? '' : (text[0] as '(' | '[');
  const close = set ? '}' : bare ? '' : (text.at(-1) as ')' | ']');
  const items = splitTop(inside, bare).flatMap(plusMinus);
  if (items.length === 1 && !set) return { open: '', close: '', items: [bare ? items[0]! : text] };
  return { open, close, items };
}

/** True when the first bracket closes at the very end: "(1,2)" but not "(a)(b)". */
function wraps(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if ('([{'.includes(text[i]!)) depth++;
    else if (')]}'.includes(text[i]!) && --depth === 0) return i === text.length - 1;
  }
  return false;
}

function splitTop(text: string, thousands: boolean): string[] {
  if (thousands && /^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(text.trim())) return [text.trim()];
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if ('([{'.includes(text[i]!)) depth++;
    else if (')]}'.includes(text[i]!)) depth--;
    else if (depth === 0 && (text[i] === ',' || text[i] === ';')) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts
    .flatMap((part) => part.split(/\s+(?:and|or)\s+|^\s*(?:and|or)\s+/))
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function plusMinus(text: string): string[] {
  if (!/\\pm(?![a-zA-Z])|\u00b1/.test(text)) return [text];
  return ['+', '-'].map((sign) => text.replace(/\\pm(?![a-zA-Z])|\u00b1/g, sign));
}

function sameList(a: AnswerList, b: AnswerList): boolean {
  if (a.items.length !== b.items.length) return false;
  const ordered = a.open === '(' || a.open === '[' || b.open === '(' || b.open === '[';
  if (ordered) {
    const brackets = (list: AnswerList): string => list.open + list.close;
    if (brackets(a) !== brackets(b) && brackets(a) !== '' && brackets(b) !== '') return false;
    return a.items.every((item, i) => isEquivalent(item, b.items[i]!));
  }
  const left = [...b.items];
  return a.items.every((item) => {
    const at = left.findIndex((other) => isEquivalent(item, other));
    if (at !== -1) left.splice(at, 1);
    return at !== -1;
  });
}

function sameExpression(a: string, b: string): boolean {
  const [sidesA, sidesB] = [sides(a), sides(b)];
  if (sidesA.length === 2 && sidesB.length === 2) {
    const [forward, backward] = [difference(sidesA, 1), difference(sidesA, -1)];
    const other = difference(sidesB, 1);
    return sameValue(forward, other) || sameValue(backward, other);
  }
  // "x = 5" against "5": the name of the unknown adds nothing.
  return sameValue(parsed(statedValue(sidesA)), parsed(statedValue(sidesB)));
}

function sides(text: string): string[] {
  const parts = text.split('=').map((part) => part.trim());
  return parts.length === 2 ? parts : [text];
}

function statedValue(sides: readonly string[]): string {
  const named =
    sides.length === 2 && /^(?:[a-zA-Z]|\\[a-zA-Z]+)(?:_\{?\w+\}?)?(?:\([a-zA-Z]\))?$/.test(sides[0]!);
  return named ? sides[1]! : sides.join('=');
}

function parsed(text: string): ParsedExpression | null {
  const infix = latexToInfix(text);
  return infix === null ? null : parseExpression(infix);
}

function difference(pair: readonly string[], sign: 1 | -1): ParsedExpression | null {
  const [left, right] = pair.map(latexToInfix);
  if (left === null || right === null) return null;
  return parseExpression(sign === 1 ? `(${left})-(${right})` : `(${right})-(${left})`);
}

function sameValue(a: ParsedExpression | null, b: ParsedExpression | null): boolean {
  if (a === null || b === null) return false;
  const variables = [...new Set([...a.variables, ...b.variables])].sort();
  if (variables.length > POINTS[0]!.length) return false;
  let compared = 0;
  for (const point of variables.length === 0 ? [[]] : POINTS) {
    const bound: Record<string, Fraction> = {};
    for (const [i, name] of variables.entries()) bound[name] = fraction(point[i]!);
    const [left, right] = [evaluate(a.node, bound), evaluate(b.node, bound)];
    if (left === null && right === null) continue;
    if (left === null || right === null) return false;
    if ('exact' in left && 'exact' in right) {
      if (!left.exact.equals(right.exact)) return false;
    } else {
      const [x, y] = [toNumber(left), toNumber(right)];
      if (Math.abs(x - y) > RELATIVE_TOLERANCE * Math.max(Math.abs(x), Math.abs(y))) return false;
    }
    compared++;
  }
  return compared > 0;
}
