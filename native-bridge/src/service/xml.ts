// Text inside an XML element.

/** Throws for characters that XML 1.0 cannot hold at all. */
export function xmlText(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are the ones that XML lacks.
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text))
    throw new Error(`${JSON.stringify(text)} holds a character that a service file cannot hold`);
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
