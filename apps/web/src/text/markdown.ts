// Markdown from a model as safe DOM. Everything that could load something from elsewhere is dropped: a picture's address
// would tell its server what was asked. Mathematics goes in after sanitising, since KaTeX's own output is trusted.

import DOMPurify from 'dompurify';
import { Marked, type TokenizerAndRendererExtension } from 'marked';
import { mathAt, mathStart, renderMath, type MathPart } from './math.ts';

const TAGS = (
  'p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong del sub sup a ' +
  'table thead tbody tr th td span'
).split(' ');

/** Renders Markdown with mathematics to a fragment that can be inserted as it is. */
export function renderMarkdown(text: string): DocumentFragment {
  const found: MathPart[] = [];
  const math: TokenizerAndRendererExtension = {
    name: 'math',
    level: 'inline',
    start: (source) => {
      const at = mathStart(source);
      return at < 0 ? undefined : at;
    },
    tokenizer: (source) => {
      const part = mathAt(source, 0);
      if (!part) return undefined;
      found.push(part);
      return { type: 'math', raw: source.slice(0, part.length), index: found.length - 1 };
    },
    renderer: (token) => `<span data-math="${String(token.index)}"></span>`,
  };
  const html = new Marked({ gfm: true, breaks: true, extensions: [math] }).parse(text, { async: false });
  const safe = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ['href', 'start', 'align', 'data-math'],
    ALLOWED_URI_REGEXP: /^https?:/i,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of safe.querySelectorAll('a')) {
    link.rel = 'noopener noreferrer';
    link.target = '_blank';
  }
  for (const span of safe.querySelectorAll<HTMLElement>('[data-math]')) {
    const part = found[Number(span.dataset.math)];
    if (part) renderMath(part.tex, part.display, span);
  }
  return safe;
}
