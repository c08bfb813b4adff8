// Numbers as command-line arguments: each reader takes the text of one option and refuses what is not such a number.

import type { Prices } from '@baton/split';
import { InvalidArgumentError } from 'commander';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('a number is needed.');
  return value;
}

/** A number from 0 on. */
export function amount(text: string): number {
  const value = number(text);
  if (value < 0) throw new InvalidArgumentError('a number of at least 0 is needed.');
  return value;
}

/** A whole number from 0 on. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('a whole number is needed.');
  return value;
}

/** A whole number from 1 on. */
export function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('a whole number of at least 1 is needed.');
  return value;
}

/** Whole numbers from 1 on, comma-separated. */
export function positiveNumbers(text: string): number[] {
  return text.split(',').map((part) => positiveNumber(part.trim()));
}

/** A share from 0 to 1. */
export function share(text: string): number {
  const value = number(text);
  if (value < 0 || value > 1) throw new InvalidArgumentError('a number from 0 to 1 is needed.');
  return value;
}

/** A share of which something is left, as nucleus sampling needs: above 0, up to 1. */
export function positiveShare(text: string): number {
  const value = share(text);
  if (value === 0) throw new InvalidArgumentError('a number above 0, up to 1, is needed.');
  return value;
}

/** Prices per million tokens: input, cached input, output. */
export function prices(text: string): Prices {
  const [input, cachedInput, output, ...rest] = text.split(',').map(amount);
  if (input === undefined || cachedInput === undefined || output === undefined || rest.length > 0) {
    throw new InvalidArgumentError('three numbers are needed: input,cached,output.');
  }
  return { input, cachedInput, output };
}
