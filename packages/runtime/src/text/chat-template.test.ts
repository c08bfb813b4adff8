// Chat templates as models ship them.
import { expect, test } from 'vitest';
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

test('gives the special tokens of tokenizer_config.json to the template, also when they are objects', () => {
  const template = findChatTemplate(null, {
    bos_token: { content: '<s>', special: true },
    chat_template: "{{ bos_token }}{{ messages[0]['content'] }}",
  })!;
  expect(template.render([{ role: 'user', content: 'x' }])).toBe('<s>x');
});

test('a template may refuse messages, with its own words', () => {
  const template = findChatTemplate("{{ raise_exception('roles must alternate') }}", {})!;
  expect(() => template.render([{ role: 'user', content: 'x' }])).toThrow(/roles must alternate/);
});

test('no template is null, a broken one is an error', () => {
  expect(findChatTemplate(null, {})).toBeNull();
  expect(() => findChatTemplate('{% for %}', {})).toThrow(/does not parse/);
});
