// Policies by name, as the command line and the page write them.

import { SplitError } from '../split-error.ts';
import { largeAlone, smallAlone } from './alone.ts';
import { gated, perplexityGate } from './gate.ts';
import { learned } from './learned.ts';
import { lengthCall } from './length-call.ts';
import type { Policy } from './policy.ts';
import { draftRewriting } from './rewriting.ts';
import { speculative } from './speculative.ts';
import { stepScoring } from './step-scoring.ts';
import { subselection } from './subselection.ts';
import { entropyAtSteps, randomSwitch, stepCues } from './switching.ts';

/** One line per policy: what the name takes, and what it does. */
export const POLICY_HELP: readonly (readonly [string, string])[] = [
  ['small', 'the small model alone'],
  ['large', 'the large model alone'],
  ['learned', 'the small model asks with its tag; its own probabilities end the span'],
  ['threshold:P', 'as learned, but handing off wherever the tag is at least P probable'],
  ['bias:B', 'as learned, with B added to the tag’s logit'],
  ['grant:P', 'as learned, each request granted with chance P'],
  ['random:R[:CHUNK]', 'of every CHUNK (32) tokens, the large model writes with chance R'],
  ['entropy:NATS', 'steps whose first token the small model is this uncertain about'],
  ['cues', 'steps that begin with a word of doubt, after a blank line'],
  ['spec-reason:N', 'the large model rates each step 0 to 9 and rewrites those below N'],
  ['step-score:L', 'as spec-reason, by the mean log-probability it gives the step (at least L)'],
  [
    'speculative[:K]',
    'the large model’s own greedy text, drafted K tokens at a time (needs prompt log-probabilities)',
  ],
  ['subselect[:N]', 'N continuations; those that the large model is surest behind survive'],
  ['rewrite[:N]', 'the small model thinks and condenses N times; the large one answers'],
  [
    'gated:L:POLICY',
    'POLICY, but questions whose tokens the small model gives a mean log-probability of at least L stay small',
  ],
  ['call', 'the small model asks for a number of tokens with <call>n</call>'],
];

/** Throws SplitError `bad-input` for an unknown name or a parameter out of range. */
export function parsePolicy(text: string): Policy {
  const [name = '', ...rest] = text.trim().split(':');
  if (name === 'gated') return parseGated(text.trim(), rest);
  const number = (i: number, what: string, low: number, high: number): number => {
    const value = rest[i] === undefined || rest[i] === '' ? Number.NaN : Number(rest[i]);
    if (!(value >= low && value <= high))
      throw new SplitError('bad-input', `policy "${text}": ${what} must be a number from ${low} to ${high}`);
    return value;
  };
  const whole = (i: number, what: string, low: number, high: number): number => {
    const value = number(i, what, low, high);
    if (!Number.isInteger(value))
      throw new SplitError('bad-input', `policy "${text}": ${what} must be whole`);
    return value;
  };
  const takes = (most: number): void => {
    if (rest.length > most) throw new SplitError('bad-input', `policy "${text}" has too many parameters`);
  };
  const made = build(name, number, whole, takes, rest.length);
  if (made) return made;
  const known = POLICY_HELP.map(([form]) => form).join(', ');
  throw new SplitError('bad-input', `unknown policy "${text}"; known: ${known}`);
}

function parseGated(text: string, [limit, ...inner]: readonly string[]): Policy {
  const value = limit === undefined || limit === '' ? Number.NaN : Number(limit);
  if (!(value >= -100 && value <= 0))
    throw new SplitError(
      'bad-input',
      `policy "${text}": the log-probability must be a number from -100 to 0`,
    );
  if (inner.length === 0)
    throw new SplitError(
      'bad-input',
      `policy "${text}": name the policy behind the gate, as in ${text}:learned`,
    );
  const policy = parsePolicy(inner.join(':'));
  return gated(`gated:${value}:${policy.name}`, perplexityGate(value), policy);
}

function build(
  name: string,
  number: (i: number, what: string, low: number, high: number) => number,
  whole: (i: number, what: string, low: number, high: number) => number,
  takes: (most: number) => void,
  given: number,
): Policy | null {
  switch (name) {
    case 'small':
      takes(0);
      return smallAlone;
    case 'large':
      takes(0);
      return largeAlone;
    case 'learned':
      takes(0);
      return learned();
    case 'threshold':
      takes(1);
      return learned({ threshold: number(0, 'the threshold', 0, 1) });
    case 'bias':
      takes(1);
      return learned({ bias: number(0, 'the bias', -100, 100) });
    case 'grant':
      takes(1);
      return learned({ grant: number(0, 'the chance', 0, 1) });
    case 'random':
      takes(2);
      return randomSwitch(number(0, 'the ratio', 0, 1), given > 1 ? whole(1, 'the chunk', 1, 4096) : 32);
    case 'entropy':
      takes(1);
      return entropyAtSteps(number(0, 'the entropy', 0, 20));
    case 'cues':
      takes(0);
      return stepCues();
    case 'spec-reason':
      takes(1);
      return stepScoring({ by: 'rating', threshold: number(0, 'the rating', 0, 9) });
    case 'step-score':
      takes(1);
      return stepScoring({ by: 'logprob', threshold: number(0, 'the log-probability', -100, 0) });
    case 'speculative':
      takes(1);
      return speculative(given > 0 ? whole(0, 'the draft length', 1, 64) : 8);
    case 'subselect':
      takes(1);
      return subselection(given > 0 ? { candidates: whole(0, 'the number of candidates', 2, 256) } : {});
    case 'rewrite':
      takes(1);
      return draftRewriting(given > 0 ? { drafts: whole(0, 'the number of drafts', 1, 64) } : {});
    case 'call':
      takes(0);
      return lengthCall;
    default:
      return null;
  }
}
