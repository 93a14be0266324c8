// Addresses of requests.

export type Values = Record<string, unknown>;

/** Returns the address of a route: its path with ids in place of names in braces, and its query. */
export function addressOf(service: string, path: string, ids: Values = {}, query: Values = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => segment(name, ids[name]));
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.append(name, String(value));
  }
  const search = String(parameters);
  return service.replace(/\/+$/, "") + filled + (search && `?${search}`);
}

function segment(name: string, id: unknown): string {
  if (typeof id !== "string" || id === "") throw new TypeError(`path.${name} must be a text that is not empty, not ${String(id)}`);
  // Also encoded, a URL with such a segment names another path, and so another route.
  if (id === "." || id === "..") throw new TypeError(`path.${name} is "${id}", which no URL can carry: choose another id`);
  return encodeURIComponent(id);
}
