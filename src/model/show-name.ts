/** Names and values out of files that may come from anywhere, for messages: short, and with nothing that a terminal would act on. */

const MAX_SHOWN = 120;

/** As it is when it is short and plain, else quoted. */
export function showName(name: string): string {
  return /^[\x21-\x7e]{1,120}$/.test(name) ? name : showText(name);
}

/** In quotes, cut, and everything but plain characters escaped. */
export function showText(text: string): string {
  const escaped = JSON.stringify(text.slice(0, MAX_SHOWN)).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return text.length > MAX_SHOWN ? `${escaped}...` : escaped;
}

/** A value with its kind where that is not plain: `the text "abc"`, `a list of 3`, `an object`. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return `the text ${showText(value)}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  // An object may have a `toString` of its own that is no function.
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
