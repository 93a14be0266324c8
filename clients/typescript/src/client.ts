// The client: sends requests, repeats them where that helps, and returns typed answers.

import { addressOf, type Values } from "./addresses.js";
import { Deadline } from "./deadline.js";
import { ConnectionFailedError, UnexpectedAnswerError, errorOf } from "./errors.js";
import { withEventIds } from "./event_ids.js";
import { checkKey } from "./keys.js";
import { isRepeatable, waitMs } from "./repeats.js";
import type { Answer, Arguments, CallOptions, Method, PathWith } from "./routes.js";

/** Longer than the service waits for its teacher, which is 10 seconds by default. */
const TIMEOUT_MS = 30_000;
const REPEATS = 2;
const JSON_TYPE = "application/json";
const LINES_TYPE = "application/x-ndjson";

export interface ClientOptions {
  /** API key, `ID.SECRET`, or a function that returns it before each request. */
  key?: string | (() => string | null | undefined);
  /** Longest time of a call with all its repeats, in milliseconds; 30,000 by default. */
  timeoutMs?: number;
  /** Largest number of repeats of a call; 2 by default, 0 for none. */
  repeats?: number;
  /** Sends requests in place of the global `fetch`. */
  fetch?: typeof fetch;
}

/** An answer with its status and headers. */
export interface Received<T> {
  answer: T;
  status: number;
  headers: Headers;
}

/** What a call may hold, for any route. */
interface AnyAsked extends CallOptions {
  path?: Values;
  query?: Values;
  body?: unknown;
}

/**
 * A client of one service. Each call throws a `RecommenderError` if it fails.
 *
 * A request that was refused with 429 or 503, or got no answer, is sent again, after the time that
 * `Retry-After` names. Events without an `event_id` get one, so that each is stored once.
 */
export class Client {
  readonly #service: string;
  readonly #options: ClientOptions;

  /** `service`: address of the service; empty for that of the page. */
  constructor(service: string, options: ClientOptions = {}) {
    this.#service = service;
    this.#options = options;
  }

  async get<P extends PathWith<"get">>(path: P, ...asked: Arguments<"get", P>): Promise<Answer<"get", P>> {
    return (await this.send("get", path, ...asked)).answer;
  }

  async post<P extends PathWith<"post">>(path: P, ...asked: Arguments<"post", P>): Promise<Answer<"post", P>> {
    return (await this.send("post", path, ...asked)).answer;
  }

  async patch<P extends PathWith<"patch">>(path: P, ...asked: Arguments<"patch", P>): Promise<Answer<"patch", P>> {
    return (await this.send("patch", path, ...asked)).answer;
  }

  async put<P extends PathWith<"put">>(path: P, ...asked: Arguments<"put", P>): Promise<Answer<"put", P>> {
    return (await this.send("put", path, ...asked)).answer;
  }

  async delete<P extends PathWith<"delete">>(path: P, ...asked: Arguments<"delete", P>): Promise<Answer<"delete", P>> {
    return (await this.send("delete", path, ...asked)).answer;
  }

  /** Calls a route as the functions named by the methods do; also returns status and headers. */
  async send<M extends Method, P extends PathWith<M>>(
    method: M,
    path: P,
    ...[asked]: Arguments<M, P>
  ): Promise<Received<Answer<M, P>>> {
    return (await this.#call(method, path, (asked ?? {}) as AnyAsked)) as Received<Answer<M, P>>;
  }

  async #call(method: Method, path: string, asked: AnyAsked): Promise<Received<unknown>> {
    const request = requestOf(this.#service, method, path, asked);
    const repeats = asked.repeats ?? this.#options.repeats ?? REPEATS;
    const deadline = new Deadline(asked.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS, asked.signal);
    try {
      for (let numRepeats = 0; ; numRepeats++) {
        try {
          return await this.#once(request, deadline.signal);
        } catch (error) {
          const wait = waitMs(error, numRepeats);
          const isLast = numRepeats >= repeats || !deadline.leaves(wait);
          if (isLast || !isRepeatable(method, path, error)) throw error;
          await deadline.wait(wait);
        }
      }
    } finally {
      deadline.close();
    }
  }

  async #once({ address, headers, ...init }: Request, signal: AbortSignal): Promise<Received<unknown>> {
    const send = this.#options.fetch ?? fetch;
    const authorization = this.#authorization(); // errors of the caller's function are the caller's
    try {
      return await received(await send(address, { ...init, headers: { ...headers, ...authorization }, signal }));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof TypeError)) throw error;
      throw new ConnectionFailedError(`no answer of ${address}`, { cause: error });
    }
  }

  #authorization(): Record<string, string> {
    const { key } = this.#options;
    const given = typeof key === "function" ? key() : key;
    if (!given) return {};
    checkKey(given); // fetch would fail as it does without a connection
    return { Authorization: `Bearer ${given}` };
  }
}

/** A request as `fetch` takes it, but for its address and without the key. */
interface Request extends RequestInit {
  address: string;
  headers: Record<string, string>;
}

function requestOf(service: string, method: Method, path: string, asked: AnyAsked): Request {
  const common: Request = {
    address: addressOf(service, path, asked.path, asked.query),
    method: method.toUpperCase(),
    headers: {},
    keepalive: asked.keepalive ?? false,
    // The service redirects no request; another host must not get the key.
    redirect: "error",
  };
  if (asked.body === undefined) return common;
  const body = withEventIds(path, asked.body);
  const isText = typeof body === "string";
  return {
    ...common,
    headers: { "Content-Type": isText ? LINES_TYPE : JSON_TYPE },
    body: isText ? body : JSON.stringify(body),
  };
}

async function received(response: Response): Promise<Received<unknown>> {
  const text = await response.text();
  const content = isJson(response) ? parsed(response, text) : text;
  if (!response.ok) throw errorOf(response, content);
  return { answer: response.status === 204 ? undefined : content, status: response.status, headers: response.headers };
}

const isJson = (response: Response): boolean =>
  /^application\/(problem\+)?json\b/.test(response.headers.get("Content-Type") ?? "");

function parsed(response: Response, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UnexpectedAnswerError(response, "the body is not JSON");
  }
}
