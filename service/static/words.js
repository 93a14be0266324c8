// Formats numbers and text for people.

/** Formats a time: `0.42 ms`, `12 ms`, `1.3 s`. */
export function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds >= 10) return `${Math.round(milliseconds)} ms`;
  return `${milliseconds.toFixed(milliseconds >= 1 ? 1 : 2)} ms`;
}

/** Formats a number with two decimals and a sign: `+0.31`, `−0.05` (with U+2212, not a hyphen). */
export function signed(number) {
  const digits = Math.abs(number).toFixed(2);
  if (Number(digits) === 0) return digits;
  return (number > 0 ? "+" : "−") + digits;
}

/** Returns `text` as nodes; parts in backticks become `<code>`. */
export function withCode(text) {
  return text.split("`").map((part, index) => {
    const node = document.createElement(index % 2 ? "code" : "span");
    node.textContent = part;
    return node;
  });
}
