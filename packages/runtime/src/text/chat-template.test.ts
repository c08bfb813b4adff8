// Chat templates as models ship them.
import { describe, expect, test } from 'vitest';
import { findChatTemplate } from './chat-template.ts';

const chatml =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

test('renders a ChatML template with and without the generation prompt', () => {
  const template = findChatTemplate(chatml, {})!;
  const messages = [{ role: 'user' as const, content: 'Hi' }];
  expect(template.render(messages)).toBe('<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n');
  expect(template.render(messages, { addGenerationPrompt: false })).toBe('<|im_start|>user\nHi<|im_end|>\n');
});

// What transformers 5.18 makes of the same files (AutoTokenizer, apply_chat_template).
describe('the special tokens that a template is given', () => {
  const source = '{{ bos_token }},{{ eos_token }},{{ image_token }},{{ step }}';
  const begin = { content: '<s>', special: true };
  test.each([
    [
      'are of tokenizer_config.json, also as objects',
      { bos_token: begin, eos_token: '</s>' },
      {},
      '<s>,</s>,,',
    ],
    ['may stand in special_tokens_map.json only', {}, { bos_token: '<s>', eos_token: begin }, '<s>,<s>,,'],
    ['are the older map’s where both have them', { bos_token: '</s>' }, { bos_token: '<s>' }, '<s>,,,'],
    [
      'are the configuration’s where that says which tokens were added',
      { bos_token: '</s>', added_tokens_decoder: {} },
      { bos_token: '<s>' },
      '</s>,,,',
    ],
    [
      'may have names of the model’s own',
      { extra_special_tokens: { image_token: '<i>', step: begin } },
      {},
      ',,<i>,<s>',
    ],
    ['may be extra ones without names', { extra_special_tokens: ['<i>'] }, {}, ',,,'],
  ])('%s', (_, config, map, text) => {
    expect(findChatTemplate(source, config, map)!.render([{ role: 'user', content: 'x' }])).toBe(text);
  });
});

test('of several named templates the one named "default" is used, and no other', () => {
  const messages = [{ role: 'user' as const, content: 'x' }];
  const listed = (...names: string[]): object => names.map((name) => ({ name, template: name }));
  expect(findChatTemplate(null, { chat_template: listed('rag', 'default') })!.render(messages)).toBe(
    'default',
  );
  expect(findChatTemplate(null, { chat_template: { rag: 'r', default: 'd' } })!.render(messages)).toBe('d');
  const none = findChatTemplate(null, { chat_template: listed('tool_use', 'rag') })!;
  expect(() => none.render(messages)).toThrow(/tokenizer_config.json.*rag, tool_use.*no "default"/);
});

test('a template may refuse messages, with its own words', () => {
  const template = findChatTemplate("{{ raise_exception('roles must alternate') }}", {})!;
  expect(() => template.render([{ role: 'user', content: 'x' }])).toThrow(/roles must alternate/);
});

test('no template is null; a broken one is an error that names its file, when it is used', () => {
  expect(findChatTemplate(null, {})).toBeNull();
  const broken = findChatTemplate('{% for %}', {})!;
  expect(broken.beginnings).toEqual([]);
  expect(() => broken.render([])).toThrow(/chat_template.jinja.*does not parse/);
  const field = findChatTemplate(null, { chat_template: '{% for %}' })!;
  expect(() => field.render([])).toThrow(/tokenizer_config.json.*does not parse/);
});

describe('what every conversation begins with', () => {
  const roles = (before: string, after: string): string =>
    `{% for m in messages %}{{ '${before}' + m.role + '${after}' + m.content }}{% endfor %}`;
  test.each([
    [
      'a mark and the role',
      chatml,
      ['<|im_start|>user\n', '<|im_start|>system\n', '<|im_start|>assistant\n'],
    ],
    [
      'the first line, whatever stands below',
      `<|im_start|>system\nToday is {{ 1 }}.\n${chatml}`,
      ['<|im_start|>system\n'],
    ],
    [
      'only what it does not refuse',
      `{% if messages[0].role != 'user' %}{{ raise_exception('') }}{% endif %}[INST] {{ messages[0].content }}`,
      ['[INST] '],
    ],
    ['nothing, where it is a word', roles('', ': '), []],
    ['nothing, where other texts begin so too', "{{ '## ' + messages[0].content }}", []],
    ['nothing, where it is the message', '{{ messages[0].content }}', []],
  ])('is %s', (_, source, beginnings) => {
    expect(findChatTemplate(source, {})!.beginnings).toEqual(beginnings);
  });
});
