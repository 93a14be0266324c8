// The client in Node against a running service, at SERVICE_URL. Its ADMIN_KEY is that of the tests.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import {
  Client,
  ConflictError,
  InvalidRequestError,
  NotFoundError,
  UnauthorizedError,
  newEventId,
} from "../src/index.js";

const SERVICE = process.env["SERVICE_URL"] ?? "";
const ADMIN_KEY = process.env["ADMIN_KEY"] ?? "";
const client = new Client(SERVICE, { repeats: 0 });
const EVENTS = "/v1/sessions/{session_id}/events";
const SESSION = "/v1/sessions/{session_id}";

test("an event is stored, answered and erased, whatever the id has", async () => {
  const path = { session_id: `a/b ü?#${newEventId()}` };
  const answer = await client.post(EVENTS, { path, query: { k: 3 }, body: { item_id: "1" } });
  assert.ok("items" in answer);
  assert.equal(answer.items.length, 3);
  assert.deepEqual((await client.get(SESSION, { path })).history, ["1"]);
  assert.equal(await client.delete(SESSION, { path }), undefined);
  await assert.rejects(client.get(SESSION, { path }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /^no session/);
    assert.match(error.requestId ?? "", /./);
    return true;
  });
});

test("an event that is sent twice with its id is stored once", async () => {
  const path = { session_id: newEventId() };
  const body = { item_id: "1", event_id: newEventId() };
  await client.post(EVENTS, { path, body });
  await client.post(EVENTS, { path, body });
  assert.deepEqual((await client.get(SESSION, { path })).history, ["1"]);
});

test("events of many sessions are sent as JSON", async () => {
  const events = [1, 2].map((item) => ({ session_id: newEventId(), item_id: String(item) }));
  const { events: outcomes } = await client.post("/v1/events", { body: { events } });
  assert.deepEqual(outcomes.map((each) => each.stored), [true, true]);
});

test("items are recommended with filters, rules and reasons", async () => {
  const body = { history: ["1", "260"], k: 4, explain: true, deny: { genres: ["Horror"] }, pin: [{ item_id: "2", position: 1 }] };
  const { items, source } = await client.post("/v1/recommendations", { body });
  assert.equal(source, "student");
  assert.equal(items.length, 4);
  assert.equal(items[0]?.item_id, "2");
  assert.ok(items[1]?.reasons?.length);
});

test("popular items come by training, with filters and rules", async () => {
  const { items, since, degraded } = await client.get("/v1/popular", { query: { k: 3 } });
  assert.equal(items.length, 3);
  assert.deepEqual([since, degraded, items[0]?.events], [null, false, null]);
  const body = { k: 5, allow: { genres: ["Comedy"] }, exclude: [items[0]?.item_id ?? ""], pin: [{ item_id: "1", position: 2 }] };
  const { items: comedies } = await client.post("/v1/popular", { body });
  assert.equal(comedies.length, 5);
  assert.equal(comedies[1]?.item_id, "1");
  for (const { item_id } of comedies) {
    const { attributes } = await client.get("/v1/items/{item_id}", { path: { item_id } });
    assert.ok(attributes?.["genres"]?.includes("Comedy"));
  }
});

test("popular items of a window are those of new events, which are counted in the background", async () => {
  const path = { session_id: newEventId() };
  await client.post(EVENTS, { path, body: { item_id: "2" } });
  const query = { window: "1h", k: 100 } as const;
  const eventsOf = async (id: string) =>
    (await client.get("/v1/popular", { query })).items.find((each) => each.item_id === id)?.events;
  for (let left = 300; left > 0 && !(await eventsOf("2")); left -= 1) await setTimeout(100);
  assert.ok((await eventsOf("2") ?? 0) >= 1);
  const deny = { genres: ["Fantasy"] };
  const { items, since, events } = await client.post("/v1/popular", { body: { window: "1h", order: "trending", deny } });
  assert.ok(items.every((each) => each.item_id !== "2"));
  assert.ok((since ?? 0) > 0 && (events ?? 0) > 0);
});

test("trending items need a window", async () => {
  const asked = client.post("/v1/popular", { body: { order: "trending" } });
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof InvalidRequestError);
    assert.deepEqual(error.fields.map((each) => each.field), ["order"]);
    return true;
  });
});

test("invalid fields are named", async () => {
  const asked = client.post("/v1/recommendations", { body: { history: ["1"], k: 0 } });
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof InvalidRequestError);
    assert.deepEqual(error.fields.map((each) => each.field), ["k"]);
    return true;
  });
});

test("a key is sent with each request, and may be read anew for each", async () => {
  let key: string | null = "wrong";
  const admin = new Client(SERVICE, { key: () => key });
  await assert.rejects(admin.post("/v1/model/rollback", { body: {} }), UnauthorizedError);
  key = ADMIN_KEY;
  await assert.rejects(admin.post("/v1/model/rollback", { body: {} }), ConflictError);
});

test("status and headers come with the answer, if asked for", async () => {
  const { answer, status, headers } = await client.send("post", "/v1/recommendations", { body: { history: ["1"], k: 1 } });
  assert.equal(answer.items.length, 1);
  assert.equal(status, 200);
  assert.match(headers.get("Server-Timing") ?? "", /total;dur=/);
});

test("metrics are text", async () => {
  assert.match(await client.get("/metrics"), /^# HELP/);
});
