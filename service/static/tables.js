// Cells, rows and numbers of the pages with tables.

/** Formats a number as people read it: `12,345`. */
export const count = (number) => number.toLocaleString("en");

/** Formats a time in ms since 1970: `01/01/2026, 00:00:00 UTC`. */
export const time = (milliseconds) =>
  `${new Date(milliseconds).toLocaleString("en-GB", { timeZone: "UTC" })} UTC`;

/** Makes a table cell of a text, of a node, or of a list of both. */
export function cell(content, { name = "td", className = "" } = {}) {
  const made = document.createElement(name);
  made.append(...[content].flat());
  if (className) made.className = className;
  if (name === "th") made.scope = "row";
  return made;
}

export const number = (value) => cell(typeof value === "number" ? count(value) : value, { className: "number" });

export function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}
