// Templates as Python renders them. What is expected is what apply_chat_template of transformers 5.18 gave (Jinja2 3.1.6, Python's C locale).
import { describe, expect, test } from 'vitest';
import { JinjaTemplate } from './jinja-template.ts';
import { strftime } from './strftime.ts';

const messages = [
  { role: 'user', content: '  Hi\x1c' },
  { role: 'assistant', content: '<think>\nq\n</think>\n\n  - item\n' },
];
const render = (source: string): string => new JinjaTemplate(source).render({ messages });

describe('as in Python', () => {
  test.each([
    [
      'Qwen 3 keeps the indentation of what stands behind a thought',
      String.raw`{% for m in messages %}{{ m.content.split('</think>')[-1].lstrip('\n').rstrip('\n') + '|' }}{% endfor %}`,
      '  Hi\x1c|  - item|',
    ],
    [
      'strip takes the characters it is given, and else Python’s white space',
      String.raw`{{ 'xxaxx'.strip('x') }}|{{ '\ufeff a\x1c'.strip() }}|{{ messages[0].content | trim }}|{{ nothing | trim }}|{{ '🙂a🙂'.rstrip('🙂') }}`,
      'a|\ufeff a|Hi||🙂a',
    ],
    [
      'a text has removeprefix, removesuffix and splitlines',
      String.raw`{{ 'pre_x'.removeprefix('pre_') }}{{ 'x.py'.removesuffix('.py') }}{{ 'a\r\nb\n'.splitlines() | length }}`,
      'xx2',
    ],
    ['every newline of a template is \\n', 'a\r\n{% if true %}\r\nb\r\n{% endif %}\r\n', 'a\nb\n'],
    ['a plus keeps the white space', 'a\n  {%+ if true %}b{% endif +%}\n c', 'a\n  b\n c'],
    [
      'Llama 2 writes an empty system message as well',
      "{% set system = '' %}{% if system != false %}<<SYS>>{{ system }}<</SYS>>{% endif %}",
      '<<SYS>><</SYS>>',
    ],
    [
      'what is equal has the same value, not the same sign in JavaScript',
      String.raw`{% for same in ['' == false, '' != false, '0' == 0, '1' == true, 1 == true, 1.0 == 1, none == none, nothing == nothing, [1, [2]] == [1, [2]], [1] == [1, 2], [1] == '1', {'a': 1} == {'a': 1}, {'a': 1} == {'a': 2}, messages[0] == messages[1], messages[0] != messages[0]] %}{{ 'y' if same else 'n' }}{% endfor %}`,
      'nynnyyyyynnynnn',
    ],
    ['strftime_now is there', "{{ 'yes' if strftime_now is defined else 'no' }}", 'yes'],
  ])('%s', (_, source, text) => {
    expect(render(source)).toBe(text);
  });

  test('strip refuses what is no text', () => {
    expect(() => render('{{ messages.strip() }}')).toThrow(/a text was expected/);
  });

  test('dates are written in English, with and without padding', () => {
    expect(
      strftime(
        new Date(2026, 2, 7, 15, 4, 9),
        '%A %a %d %-d %B %b %m %-m %y %Y %H %I %-I %p %M %S %j %w %F %T %D %R %c %x %X %% %Q',
      ),
    ).toBe(
      'Saturday Sat 07 7 March Mar 03 3 26 2026 15 03 3 PM 04 09 066 6 2026-03-07 15:04:09 03/07/26 15:04 Sat Mar  7 15:04:09 2026 03/07/26 15:04:09 % %Q',
    );
    expect(strftime(new Date(2024, 11, 31, 0, 30, 5), '%j %I %p %-H %c')).toBe(
      '366 12 AM 0 Tue Dec 31 00:30:05 2024',
    );
    expect(render("{{ strftime_now('%A') }}")).toMatch(/^[A-Z][a-z]+day$/);
  });
});
