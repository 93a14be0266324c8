// API keys.

import { UnusableKeyError } from "./errors.js";

/** What a header of a request cannot carry: most control characters, and all above U+00FF. */
const UNUSABLE = /[^\t\x20-\x7e\x80-\xff]/u;

/** Throws an `UnusableKeyError` if the key cannot be sent, as with an invisible character. */
export function checkKey(key: string): void {
  const code = UNUSABLE.exec(key)?.[0].codePointAt(0);
  if (code === undefined) return;
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  throw new UnusableKeyError(
    `the key has the character ${name}, which cannot be sent: copy the key again`,
  );
}
