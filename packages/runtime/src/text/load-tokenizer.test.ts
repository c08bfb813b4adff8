// A compiled model's text files as they are read together: which token ids a chat has, and which files may be wrong.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MemoryModel } from '../memory-files.ts';
import { GrowingText } from './growing-text.ts';
import { loadText, type ModelText } from './load-tokenizer.ts';

const fixture = readFileSync(
  new URL('../../test/fixtures/tokenizers/sentence-piece.json', import.meta.url),
  'utf8',
);

async function load(files: Record<string, string>): Promise<ModelText> {
  const model = new MemoryModel();
  for (const [name, text] of Object.entries(files)) {
    const file = await model.create(name);
    await file.write(new TextEncoder().encode(text));
    await file.close();
  }
  await model.commit();
  return loadText({ tokenizerFiles: Object.keys(files) }, model);
}

const config = JSON.stringify({ bos_token: '<|begin|>', eos_token: '<|end|>' });
const zephyr =
  "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";
const inst = '{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}';
const BEGIN = 1;

describe('a chat has the special tokens that its template writes', () => {
  const messages = [{ role: 'user', content: 'Hi' }] as const;
  // Ids of transformers 5.18: apply_chat_template, and the tokenizer called with a text.
  test.each([
    [
      'none',
      zephyr,
      [
        313, 273, 129, 301, 299, 325, 129, 275, 15, 279, 289, 2, 313, 15, 273, 129, 281, 299, 299, 289, 299,
        300, 339, 300, 129, 275, 15,
      ],
    ],
    ['one', inst, [1, 313, 96, 78, 83, 88, 280, 98, 313, 279, 289, 313, 96, 266, 78, 83, 88, 280, 98]],
  ])('%s', async (_, source, ids) => {
    const { tokenizer, template } = await load({
      'tokenizer.json': fixture,
      'tokenizer_config.json': config,
      'chat_template.jinja': source,
    });
    const chat = template!.render(messages);
    expect(tokenizer!.encodeSequence(chat)).toEqual(ids);
    expect(tokenizer!.encodeSequence(chat, new GrowingText(tokenizer!).encode(chat))).toEqual(ids);
    expect(tokenizer!.silentPrefix(chat)).toBe(0);
    // Whatever the model or a person writes behind it.
    expect(tokenizer!.encodeSequence(`${chat}Hello`)).toEqual(tokenizer!.encode(`${chat}Hello`));
    expect(tokenizer!.encodeSequence('Hi')).toEqual([BEGIN, 313, 279, 289]);
    expect(tokenizer!.silentPrefix('Hi')).toBe(1);
    expect(tokenizer!.encodeSequence('')).toEqual([BEGIN]);
  });
});

test('the tokens of special_tokens_map.json are given to the template', async () => {
  const { template } = await load({
    'special_tokens_map.json': config,
    'chat_template.jinja': '{{ bos_token }}{{ messages[0].content }}',
  });
  expect(template!.render([{ role: 'user', content: 'x' }])).toBe('<|begin|>x');
});

test('a template that does not parse leaves raw text usable', async () => {
  const { tokenizer, template } = await load({
    'tokenizer.json': fixture,
    'chat_template.jinja': '{% for %}',
  });
  expect(tokenizer!.encodeSequence('Hi')).toEqual([BEGIN, 313, 279, 289]);
  expect(() => template!.render([])).toThrow(/chat_template.jinja.*does not parse/);
});

test.each(['null', '[]', '"x"'])('a configuration that is %s is refused by name', async (text) => {
  await expect(load({ 'tokenizer_config.json': text })).rejects.toThrow(
    `tokenizer_config.json must hold a JSON object and has ${text}`,
  );
});
