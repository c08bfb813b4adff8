// Finds runs of written arithmetic (47*36=1200+240+...) and sets them as people write them. Only the display changes; the
// trace keeps the model's own characters.

const NUMBER = String.raw`\d+(?:[.,]\d+)*`;
const RUN = new RegExp(
  String.raw`(?<![\w.,/-])-?${NUMBER}(?:[ \t]*[-+*/×÷=][ \t]*-?${NUMBER})*(?:[ \t]*[-+*/×÷=](?![\w/*-]))?`,
  'g',
);

export interface TextPart {
  kind: 'text' | 'arithmetic';
  text: string;
}

/** Splits a line into plain text and arithmetic. Dates, fractions and lone numbers stay plain. */
export function splitArithmetic(line: string): TextPart[] {
  const parts: TextPart[] = [];
  let from = 0;
  for (const match of line.matchAll(RUN)) {
    if (!/[=*+×÷]/.test(match[0])) continue;
    if (match.index > from) parts.push({ kind: 'text', text: line.slice(from, match.index) });
    parts.push({ kind: 'arithmetic', text: match[0] });
    from = match.index + match[0].length;
  }
  if (from < line.length) parts.push({ kind: 'text', text: line.slice(from) });
  return parts;
}

/** `47*36=1692` as `47 × 36 = 1692`: true signs, spaces that break only before an equals sign. */
export function setArithmetic(run: string): string {
  const sign = (operator: string): string => ({ '*': '×', '/': '÷', '-': '−' })[operator] ?? operator;
  return run.replace(/[ \t]*([-+*/×÷=])[ \t]*/g, (whole, operator: string, at: number) => {
    if (at === 0) return sign(operator);
    const before = run.slice(0, at).trimEnd();
    // A minus after another operator belongs to its number.
    if (operator === '-' && /[-+*/×÷=]$/.test(before)) return '−';
    const end = at + whole.length === run.length;
    return `${operator === '=' ? ' ' : '\u00a0'}${sign(operator)}${end ? '' : '\u00a0'}`;
  });
}
