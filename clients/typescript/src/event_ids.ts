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
  if (path !== EVENTS || typeof body === "string") return body;
  const { events } = body as { events: readonly Event[] };
  return { ...(body as object), events: events.map(withId) };
}

const withId = (event: Event): Event => ({ ...event, event_id: event.event_id ?? newEventId() });
