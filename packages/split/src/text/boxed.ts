// The contents of the last finished \boxed{...} or \fbox{...} in a text.

const BOX = /\\(?:boxed|fbox)\s*\{/g;

/** Text inside the last balanced, non-empty box, trimmed; null if there is none. */
export function lastBoxed(text: string): string | null {
  const starts = Array.from(text.matchAll(BOX), (match) => match.index + match[0].length);
  for (const start of starts.reverse()) {
    const inside = untilClosed(text, start)?.trim();
    if (inside) return inside;
  }
  return null;
}

/** Text from `start`, behind an open brace, to the brace that closes it; null when none does. */
function untilClosed(text: string, start: number): string | null {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return text.slice(start, i);
  }
  return null;
}
