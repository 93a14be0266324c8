// Types of each route's parameters, body, answer and refusals, derived from the OpenAPI schema.

import type { paths } from "./schema.js";

export type Method = "get" | "post" | "patch" | "put" | "delete";

/** The paths that have a route of method `M`. */
export type PathWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends { [Each in M]: { responses: unknown } } ? P : never;
}[keyof paths];

type Operation<M extends Method, P extends PathWith<M>> = paths[P] extends { [Each in M]: infer O } ? O : never;

type PathOption<O> = O extends { parameters: { path: infer Ids } } ? { path: Ids } : unknown;

type QueryOption<O> = O extends { parameters: { query: infer Query } }
  ? { query: Query }
  : O extends { parameters: { query?: infer Query } }
    ? [Exclude<Query, undefined>] extends [never]
      ? unknown
      : { query?: Exclude<Query, undefined> }
    : unknown;

/** `application/x-ndjson` bodies are strings: one JSON object a line. */
type Sent<Content> =
  | (Content extends { "application/json": infer Body } ? Body : never)
  | (Content extends { "application/x-ndjson": unknown } ? string : never);

type BodyOption<O> = O extends { requestBody: { content: infer Content } } ? { body: Sent<Content> } : unknown;

/** Settings of one call, which any route takes. */
export interface CallOptions {
  /** Aborts the call; the promise is then rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Longest time of the call with all its repeats, in milliseconds; by default the client's. */
  timeoutMs?: number;
  /** Largest number of repeats; by default the client's. */
  repeats?: number;
  /** Lets the request outlive its page, as for a click on a link. */
  keepalive?: boolean;
}

/** What a call of a route takes: `path`, `query` and `body` as the route has them, and settings. */
export type Asked<M extends Method, P extends PathWith<M>> = PathOption<Operation<M, P>> &
  QueryOption<Operation<M, P>> &
  BodyOption<Operation<M, P>> &
  CallOptions;

/** The arguments after the path; there may be none if the route requires none. */
export type Arguments<M extends Method, P extends PathWith<M>> =
  Record<never, never> extends Asked<M, P> ? [asked?: Asked<M, P>] : [asked: Asked<M, P>];

type Responses<M extends Method, P extends PathWith<M>> =
  Operation<M, P> extends { responses: infer R } ? R : never;

type BodyOf<Response> = Response extends { content: { "application/json": infer Body } }
  ? Body
  : Response extends { content: { "text/plain": infer Text } }
    ? Text
    : undefined;

type Successful = 200 | 201 | 202 | 204;

/** The body of a route's answer; undefined if the answer has none. */
export type Answer<M extends Method, P extends PathWith<M>> = BodyOf<
  Responses<M, P>[keyof Responses<M, P> & Successful]
>;

/** The statuses with which a route can refuse a request. */
export type RefusalStatus<M extends Method, P extends PathWith<M>> = Exclude<
  keyof Responses<M, P>,
  Successful
>;
