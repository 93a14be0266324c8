// Claims about types: this file compiles only if each line after `@ts-expect-error` is an error.

import { test } from "node:test";

import { Client, type Answer, type RefusalStatus } from "../src/index.js";

type Equal<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

const isTyped = [
  true satisfies Equal<Answer<"delete", "/v1/sessions/{session_id}">, undefined>,
  true satisfies Equal<Answer<"get", "/metrics">, string>,
  true satisfies Equal<Answer<"get", "/v1/sessions/{session_id}">["history"], string[]>,
  true satisfies Equal<RefusalStatus<"get", "/v1/experiments">, 401 | 403 | 404 | 429 | 503>,
];

async function wrong(client: Client): Promise<void> {
  // @ts-expect-error: no route has this path
  await client.get("/v1/sessions");
  // @ts-expect-error: the route has no such method
  await client.get("/v1/recommendations");
  // @ts-expect-error: the id is missing
  await client.get("/v1/sessions/{session_id}", {});
  // @ts-expect-error: the body is missing
  await client.post("/v1/recommendations");
  // @ts-expect-error: `history` holds texts
  await client.post("/v1/recommendations", { body: { history: [1] } });
  // @ts-expect-error: there is no such field
  await client.post("/v1/recommendations", { body: { histroy: ["1"] } });
  // @ts-expect-error: the answer has no such field
  (await client.get("/v1/model")).bundles;
  // A route that requires nothing is called with its path only.
  await client.get("/v1/model");
}

test("the compiler refuses wrong paths, methods, bodies and answers", () => {
  void wrong;
  void isTyped;
});
