// Formats numbers and text for people.

/** `0.42 ms`, `12 ms`, `1.3 s`. */
export function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds >= 10) return `${Math.round(milliseconds)} ms`;
  return `${milliseconds.toFixed(milliseconds >= 1 ? 1 : 2)} ms`;
}

/** `+0.31`, `−0.05`: two decimals, a sign and a true minus. */
export function signed(number) {
  const digits = Math.abs(number).toFixed(2);
  if (Number(digits) === 0) return digits;
  return (number > 0 ? "+" : "−") + digits;
}

/** Text in which `backticks` are code, as nodes. */
export function withCode(text) {
  return text.split("`").map((part, index) => {
    const node = document.createElement(index % 2 ? "code" : "span");
    node.textContent = part;
    return node;
  });
}
