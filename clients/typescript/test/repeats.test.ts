// Repeats, timeouts and errors, against a server that answers as each test tells it.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import {
  Client,
  ConnectionFailedError,
  TimedOutError,
  TooManyRequestsError,
  UnavailableError,
  UnexpectedAnswerError,
  UnusableKeyError,
  type Problem,
} from "../src/index.js";

const EVENTS = "/v1/sessions/{session_id}/events";
const EVENT = { path: { session_id: "ann" }, body: { item_id: "1" } };

type Respond = (request: IncomingMessage, response: ServerResponse) => void;
interface Seen {
  at: number;
  url: string;
  text: string;
  body: { event_id?: string };
}

/** Answers with the given functions, one for each request, while `use` runs; returns the requests. */
async function served(answers: Respond[], use: (service: string) => Promise<void>): Promise<Seen[]> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const isJson = request.headers["content-type"] === "application/json";
      const body = isJson ? (JSON.parse(text) as Seen["body"]) : {};
      seen.push({ at: performance.now(), url: request.url ?? "", text, body });
      (answers[seen.length - 1] ?? status(500))(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return seen;
}

const json = (body: unknown): Respond => (_, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(body));
};

function refused(code: number, headers: Record<string, string> = {}): Respond {
  const problem: Problem = { type: "about:blank", title: "No", status: code, detail: "not now", errors: [] };
  return (_, response) => {
    response.writeHead(code, { "Content-Type": "application/problem+json; charset=utf-8", ...headers });
    response.end(JSON.stringify(problem));
  };
}

const status = (code: number): Respond => (_, response) => response.writeHead(code).end("<html>");
const hangUp: Respond = (request) => request.socket.destroy();
const silence: Respond = () => undefined;

test("a refused event is sent again after Retry-After, with the id of the first time", async () => {
  const seen = await served([refused(503, { "Retry-After": "1" }), json({ stored: true })], async (service) => {
    assert.deepEqual(await new Client(service).post(EVENTS, EVENT), { stored: true });
  });
  const [first, second] = seen as [Seen, Seen];
  assert.equal(seen.length, 2);
  assert.ok(second.at - first.at >= 1_000);
  assert.match(first.body.event_id ?? "", /^[0-9a-f]{32}$/);
  assert.equal(second.body.event_id, first.body.event_id);
});

test("each event of a list gets an id, unless it has one", async () => {
  const events = [{ session_id: "a", item_id: "1" }, { session_id: "b", item_id: "2", event_id: "mine" }];
  const [request] = await served([json({ events: [] })], async (service) => {
    await new Client(service).post("/v1/events", { body: { events } });
  });
  const sent = (request?.body as unknown as { events: { event_id: string }[] }).events;
  assert.match(sent[0]?.event_id ?? "", /^[0-9a-f]{32}$/);
  assert.equal(sent[1]?.event_id, "mine");
});

test("each event of a text of lines gets an id, unless it has one, and the same at each repeat", async () => {
  const lines = ['{"session_id":"a","item_id":"1"}', "", '{"item_id":"2","event_id":"mine"}', "no event", ""];
  const seen = await served([refused(503, { "Retry-After": "0" }), json({ events: [] })], async (service) => {
    // The types know the JSON form only; the service and pages in JavaScript know lines, too.
    await new Client(service).post("/v1/events", { body: lines.join("\n") as never });
  });
  const [first, second] = seen as [Seen, Seen];
  const sent = first.text.split("\n");
  assert.match(sent[0] ?? "", /^\{"session_id":"a","item_id":"1","event_id":"[0-9a-f]{32}"\}$/);
  assert.deepEqual(sent.slice(1), lines.slice(1));
  assert.equal(second.text, first.text);
});

test("an error of the function that gives the key is the caller's, and nothing is sent", async () => {
  const key = () => {
    throw new TypeError("no key");
  };
  const seen = await served([json({})], async (service) => {
    await assert.rejects(new Client(service, { key }).get("/healthz"), { name: "TypeError", message: "no key" });
  });
  assert.equal(seen.length, 0);
});

test("a key that no header can carry is refused unsent, and the error does not tell it", async () => {
  const keys = [
    ["shop.sec\u200bret", "U+200B"],
    ["shop.secret\u{1f511}", "U+1F511"],
    ["shop.\nsecret", "U+000A"],
  ];
  const seen = await served([], async (service) => {
    for (const [key, character] of keys) {
      const asked = new Client(service, { key: () => key }).get("/v1/model");
      await assert.rejects(asked, (error) => {
        assert.ok(error instanceof UnusableKeyError);
        assert.match(error.message, new RegExp(`the character ${character?.replace("+", "\\+")}`));
        assert.ok(!error.message.includes("secret"));
        return true;
      });
    }
  });
  assert.equal(seen.length, 0);
});

test("a key of printable characters up to U+00FF is sent", async () => {
  const seen = await served([json({ status: "ok" })], async (service) => {
    await new Client(service, { key: "shop.sécret ~" }).get("/healthz");
  });
  assert.equal(seen.length, 1);
});

test("a broken connection and a gateway's error are repeated, twice by default", async () => {
  const seen = await served([hangUp, status(502), json({ status: "ok" })], async (service) => {
    assert.deepEqual(await new Client(service).get("/healthz"), { status: "ok" });
  });
  assert.equal(seen.length, 3);
  const again = await served([status(502), status(502), status(502), json({})], async (service) => {
    await assert.rejects(new Client(service).get("/healthz"), UnexpectedAnswerError);
  });
  assert.equal(again.length, 3);
});

test("a refusal that no repeat can change is not repeated", async () => {
  for (const code of [400, 401, 403, 404, 409, 413, 422, 500]) {
    const seen = await served([refused(code)], async (service) => {
      await assert.rejects(new Client(service).get("/healthz"), { status: code, message: "not now" });
    });
    assert.equal(seen.length, 1, String(code));
  }
});

test("a proxy's refusal that names no status is repeated as one that does", async () => {
  const unnamed: Respond = (_, response) => {
    response.writeHead(503, { "Content-Type": "application/problem+json" }).end('{"detail": "later"}');
  };
  const seen = await served([unnamed, json({ status: "ok" })], async (service) => {
    assert.deepEqual(await new Client(service).get("/healthz"), { status: "ok" });
  });
  assert.equal(seen.length, 2);
});

test("a rollback is never repeated, since a second one undoes the first", async () => {
  const seen = await served([refused(503)], async (service) => {
    await assert.rejects(new Client(service).post("/v1/model/rollback", { body: {} }), UnavailableError);
  });
  assert.equal(seen.length, 1);
});

test("a wait beyond the timeout is not begun", async () => {
  const began = performance.now();
  const seen = await served([refused(429, { "Retry-After": "86400" })], async (service) => {
    await assert.rejects(new Client(service).get("/v1/model"), (error) => {
      assert.ok(error instanceof TooManyRequestsError);
      assert.equal(error.retryAfterSeconds, 86_400);
      return true;
    });
  });
  assert.equal(seen.length, 1);
  assert.ok(performance.now() - began < 10_000);
});

test("a part of a second in Retry-After is read", async () => {
  await served([refused(429, { "Retry-After": "86400.5" })], async (service) => {
    await assert.rejects(new Client(service).get("/v1/model"), { retryAfterSeconds: 86_400.5 });
  });
});

test("a call without end waits for its answer", async () => {
  await served([json({ status: "ok" })], async (service) => {
    assert.deepEqual(await new Client(service, { timeoutMs: Infinity }).get("/healthz"), { status: "ok" });
  });
});

test("a date in Retry-After is read", async () => {
  const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
  await served([refused(503, { "Retry-After": inAnHour })], async (service) => {
    await assert.rejects(new Client(service).get("/v1/model"), (error) => {
      assert.ok(error instanceof UnavailableError);
      assert.ok(Math.abs((error.retryAfterSeconds ?? 0) - 3_600) < 60);
      return true;
    });
  });
});

test("a call ends at its timeout, during a request and during a wait", async () => {
  await served([silence], async (service) => {
    await assert.rejects(new Client(service, { timeoutMs: 50 }).get("/healthz"), TimedOutError);
  });
  await served([hangUp, silence], async (service) => {
    await assert.rejects(new Client(service).get("/healthz", { timeoutMs: 300 }), TimedOutError);
  });
});

test("the caller's signal ends a call with the caller's reason", async () => {
  await served([silence], async (service) => {
    const controller = new AbortController();
    const asked = new Client(service).get("/healthz", { signal: controller.signal });
    controller.abort(new Error("the visitor left"));
    await assert.rejects(asked, /the visitor left/);
  });
});

test("without a service, the connection fails", async () => {
  let closed = "";
  await served([], async (service) => {
    closed = service;
  });
  await assert.rejects(new Client(closed, { repeats: 0 }).get("/healthz"), ConnectionFailedError);
});

test("an answer that is not JSON, or a redirect, is no answer of the service", async () => {
  const text: Respond = (_, response) => response.writeHead(200, { "Content-Type": "application/json" }).end("<html>");
  const elsewhere: Respond = (_, response) => response.writeHead(302, { Location: "http://127.0.0.1:9/" }).end();
  await served([text, elsewhere], async (service) => {
    const client = new Client(service, { repeats: 0 });
    await assert.rejects(client.get("/healthz"), UnexpectedAnswerError);
    await assert.rejects(client.get("/healthz"), ConnectionFailedError);
  });
});

test("ids are encoded, and those that a URL cannot carry are refused", async () => {
  const [seen] = await served([json({})], async (service) => {
    const client = new Client(`${service}/`);
    await client.get("/v1/sessions/{session_id}", { path: { session_id: "a/b?c#d e%" } });
    for (const id of [".", "..", ""]) {
      await assert.rejects(client.get("/v1/items/{item_id}", { path: { item_id: id } }), TypeError);
    }
  });
  assert.equal(seen?.url, "/v1/sessions/a%2Fb%3Fc%23d%20e%25");
});

test("parameters without a value are left out", async () => {
  const [seen] = await served([json({ items: [] })], async (service) => {
    await new Client(service).get("/v1/items", { query: { query: "a&b" } });
  });
  assert.equal(seen?.url, "/v1/items?query=a%26b");
});
