/**
 * Text as sentences: the units in which a haystack is tokenized, cut and opened for a needle.
 *
 * A sentence carries the white space before it, so that sentences joined give the text back and a needle put between two
 * of them needs nothing after it. The rule is our own and not Intl.Segmenter's, because ICU's changes with the Node
 * version and a recipe must give the same sample everywhere.
 */

/** A run without a sentence end is broken here, characters: what is tokenized at once stays small. */
const MAX_SENTENCE_CHARS = 2000;

/**
 * A sentence's end before white space and a capital, a digit or an opening mark; a blank line, which belongs to the next
 * sentence; or a CJK full stop.
 */
const BOUNDARY = /[.!?…]["'”’)\]]*(?=\s+["'“‘([\p{Lu}\p{Lo}\p{N}])|\n\s*\n(?=\S)|[。！？](?=[^\s。！？”’」])/gu;

/** Index of each sentence's first character, white space included; the first is 0. */
export function sentenceStarts(text: string): number[] {
  const ends = Array.from(text.matchAll(BOUNDARY), ({ 0: found, index }) => (found.startsWith('\n') ? index : index + found.length));
  const starts: number[] = [];
  let start = 0;
  for (const end of [...ends, text.length]) {
    for (; end - start > MAX_SENTENCE_CHARS; start = breakPoint(text, start)) starts.push(start);
    if (end > start) starts.push(start);
    start = end;
  }
  return starts;
}

/** Where an overlong run breaks: at its last white space within bounds, else between two code points. */
function breakPoint(text: string, start: number): number {
  const limit = start + MAX_SENTENCE_CHARS;
  for (let index = limit; index > start + MAX_SENTENCE_CHARS / 2; index--) {
    if (/\s/.test(text.charAt(index))) return index;
  }
  const splitsPair = /[\uDC00-\uDFFF]/.test(text.charAt(limit));
  return splitsPair ? limit - 1 : limit;
}
