import { describe, expect, it } from 'vitest';
import { inWords, notesInWords, sentence } from './notes.ts';

const TOO_LONG =
  '9400 more tokens do not fit: 0 of 2048 slots are used; ' +
  'shorten the text, or compile the model with a larger context';
const REFUSED = 'http://127.0.0.1:9/v1/models: the request failed; does it allow this origin?';

describe('the notes of a run', () => {
  it('say once for each model that a question is too long, and give no advice to developers', () => {
    const notes = [
      `keep-warm requests stopped: ${TOO_LONG}`,
      `the small model stopped: ${TOO_LONG}`,
      "the small model's context is full; the large model goes on alone",
      `the large endpoint failed: ${TOO_LONG}; nobody is left to go on`,
    ];
    expect(notesInWords(notes)).toEqual([
      'the question is too long for the small model: 9400 of at most 2048 tokens',
      "the small model's context is full; the large model goes on alone",
      'the question is too long for the large model: 9400 of at most 2048 tokens; nobody is left to go on',
    ]);
  });

  it('tell of keep-warm requests only what no other note tells', () => {
    const warm = `keep-warm requests stopped: ${REFUSED}`;
    expect(notesInWords([warm])).toEqual([warm]);
    expect(
      notesInWords([warm, `the large endpoint failed: ${REFUSED}; the small model carries on alone`]),
    ).toEqual([`the large endpoint failed: ${REFUSED} The small model carries on alone`]);
  });

  it('tell a context that fills up from a question that never fitted', () => {
    const full = TOO_LONG.replace('9400', '12').replace('0 of 2048', '2040 of 2048');
    expect(inWords(full)).toBe('no room for 12 more tokens: 2040 of 2048 are used');
    expect(inWords(TOO_LONG)).toBe('the question is too long: 9400 of at most 2048 tokens');
  });
});

it.each([
  ['it failed', 'it failed.'],
  ['does it allow this origin?', 'does it allow this origin?'],
])('%j ends as a sentence', (message, whole) => expect(sentence(message)).toBe(whole));
