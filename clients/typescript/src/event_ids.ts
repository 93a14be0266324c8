// Ids of events. The service stores an event once, however often it is sent with the same id.

const SESSION_EVENTS = "/v1/sessions/{session_id}/events";
const EVENTS = "/v1/events";

interface Event {
  event_id?: string | null;
}

/** Returns a random id of 32 hexadecimal digits. */
export function newEventId(): string {
  // Not crypto.randomUUID, which browsers offer over HTTPS only.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the body of a request with an id for each of its events that has none. */
export function withEventIds(path: string, body: unknown): unknown {
  if (path === SESSION_EVENTS) return withId(body as Event);
  if (path !== EVENTS) return body;
  if (typeof body === "string") return body.split("\n").map(lineWithId).join("\n");
  const { events } = body as { events: readonly Event[] };
  return { ...(body as object), events: events.map(withId) };
}

const withId = (event: Event): Event => ({ ...event, event_id: event.event_id ?? newEventId() });

/** Returns a line of JSON with an id for its event; the service names a line that it cannot read. */
function lineWithId(line: string): string {
  const event = parsed(line);
  const lacksId = typeof event === "object" && event !== null && (event as Event).event_id == null;
  return lacksId ? JSON.stringify(withId(event)) : line;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
