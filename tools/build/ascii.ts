/**
 * Writes what is not ASCII as escapes, which JavaScript takes in strings, templates, regular expressions and names. V8 keeps the text of every
 * module, with two bytes for each character where one of them is beyond Latin-1.
 * @throws Error for `String.raw`, where an escape would be another text
 */
export function toAscii(code: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what ASCII is
  if (/String\.raw`[^`]*[^\x00-\x7f`]/.test(code)) throw new Error('String.raw with a character beyond ASCII');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
  return code.replaceAll(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
