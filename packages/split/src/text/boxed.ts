// The contents of the last finished \boxed{...} in a text.

/** Text inside the last balanced, non-empty \boxed{...}, trimmed; null if there is none. */
export function lastBoxed(text: string): string | null {
  for (
    let at = text.lastIndexOf('\\boxed{');
    at >= 0;
    at = at === 0 ? -1 : text.lastIndexOf('\\boxed{', at - 1)
  ) {
    let depth = 0;
    for (let i = at + '\\boxed'.length; i < text.length; i++) {
      if (text[i] === '\\') i++;
      else if (text[i] === '{') depth++;
      else if (text[i] === '}' && --depth === 0) {
        const inside = text.slice(at + '\\boxed{'.length, i).trim();
        if (inside !== '') return inside;
        break;
      }
    }
  }
  return null;
}
