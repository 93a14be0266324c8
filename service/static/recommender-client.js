// The TypeScript client in clients/typescript, for the pages. `make client` writes this file.

// src/addresses.ts
function addressOf(service, path, ids = {}, query = {}) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => segment(name, ids[name]));
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== void 0 && value !== null) parameters.append(name, String(value));
  }
  const search = String(parameters);
  return service.replace(/\/+$/, "") + filled + (search && `?${search}`);
}
function segment(name, id) {
  if (typeof id !== "string" || id === "") throw new TypeError(`path.${name} must be a text that is not empty, not ${String(id)}`);
  if (id === "." || id === "..") throw new TypeError(`path.${name} is "${id}", which no URL can carry: choose another id`);
  return encodeURIComponent(id);
}

// src/errors.ts
var RecommenderError = class extends Error {
  get name() {
    return this.constructor.name;
  }
};
var ProblemError = class extends RecommenderError {
  status;
  /** The body of the answer. */
  problem;
  /** Id of the request in the logs of the service. */
  requestId;
  /** Seconds to wait before sending the request again, if the answer names them. */
  retryAfterSeconds;
  constructor(problem, headers) {
    super(problem.detail);
    this.status = problem.status;
    this.problem = problem;
    this.requestId = headers.get("X-Request-ID");
    this.retryAfterSeconds = retryAfterSeconds(headers);
  }
};
var UnauthorizedError = class extends ProblemError {
};
var ForbiddenError = class extends ProblemError {
};
var NotFoundError = class extends ProblemError {
};
var ConflictError = class extends ProblemError {
};
var TooLargeError = class extends ProblemError {
};
var InvalidRequestError = class extends ProblemError {
  get fields() {
    return this.problem.errors ?? [];
  }
};
var TooManyRequestsError = class extends ProblemError {
};
var UnavailableError = class extends ProblemError {
};
var UnexpectedAnswerError = class extends RecommenderError {
  status;
  retryAfterSeconds;
  constructor(response, reason) {
    super(`status ${response.status}: ${reason}`);
    this.status = response.status;
    this.retryAfterSeconds = retryAfterSeconds(response.headers);
  }
};
var UnusableKeyError = class extends RecommenderError {
};
var ConnectionFailedError = class extends RecommenderError {
};
var TimedOutError = class extends RecommenderError {
};
var KINDS = /* @__PURE__ */ new Map([
  [401, UnauthorizedError],
  [403, ForbiddenError],
  [404, NotFoundError],
  [409, ConflictError],
  [413, TooLargeError],
  [422, InvalidRequestError],
  [429, TooManyRequestsError],
  [503, UnavailableError]
]);
function errorOf(response, body) {
  if (!isProblem(response, body)) {
    return new UnexpectedAnswerError(response, "the answer is not a problem of the service (RFC 9457)");
  }
  const problem = { ...body, status: body.status ?? response.status };
  return new (KINDS.get(response.status) ?? ProblemError)(problem, response.headers);
}
function isProblem(response, body) {
  const mediaType = response.headers.get("Content-Type") ?? "";
  return mediaType.startsWith("application/problem+json") && typeof body === "object" && body !== null && "detail" in body;
}
function retryAfterSeconds(headers) {
  const given = headers.get("Retry-After");
  if (given === null) return null;
  const seconds = /^\d+(\.\d+)?$/.test(given.trim()) ? Number(given) : (Date.parse(given) - Date.now()) / 1e3;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

// src/deadline.ts
var LONGEST_TIMER_MS = 2 ** 31 - 1;
var Deadline = class {
  #controller = new AbortController();
  #endsAt;
  #timer;
  #caller;
  #follow = () => this.#controller.abort(this.#caller?.reason);
  constructor(timeoutMs, caller) {
    this.#endsAt = performance.now() + timeoutMs;
    this.#caller = caller;
    const late = new TimedOutError(`no answer within ${timeoutMs} ms, repeats included`);
    this.#timer = setTimeout(() => this.#controller.abort(late), Math.min(timeoutMs, LONGEST_TIMER_MS));
    if (caller?.aborted) this.#follow();
    else caller?.addEventListener("abort", this.#follow);
  }
  /** Aborts at the end of the call; its reason is the error to throw. */
  get signal() {
    return this.#controller.signal;
  }
  /** Returns whether a wait of so many milliseconds ends before the call does. */
  leaves(milliseconds) {
    return performance.now() + milliseconds < this.#endsAt;
  }
  /** Waits; throws the signal's reason if the call ends meanwhile. */
  async wait(milliseconds) {
    this.signal.throwIfAborted();
    await new Promise((resolve, reject) => {
      const aborted = () => {
        clearTimeout(timer);
        reject(this.signal.reason);
      };
      const timer = setTimeout(() => {
        this.signal.removeEventListener("abort", aborted);
        resolve();
      }, milliseconds);
      this.signal.addEventListener("abort", aborted, { once: true });
    });
  }
  /** Stops the timer and lets go of the caller's signal. */
  close() {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#follow);
  }
};

// src/event_ids.ts
var SESSION_EVENTS = "/v1/sessions/{session_id}/events";
var EVENTS = "/v1/events";
function newEventId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
function withEventIds(path, body) {
  if (path === SESSION_EVENTS) return withId(body);
  if (path !== EVENTS) return body;
  if (typeof body === "string") return body.split("\n").map(lineWithId).join("\n");
  const { events } = body;
  return { ...body, events: events.map(withId) };
}
var withId = (event) => ({ ...event, event_id: event.event_id ?? newEventId() });
function lineWithId(line) {
  const event = parsed(line);
  const lacksId = typeof event === "object" && event !== null && event.event_id == null;
  return lacksId ? JSON.stringify(withId(event)) : line;
}
function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return void 0;
  }
}

// src/keys.ts
var UNUSABLE = /[^\t\x20-\x7e\x80-\xff]/u;
function checkKey(key) {
  const code = UNUSABLE.exec(key)?.[0].codePointAt(0);
  if (code === void 0) return;
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  throw new UnusableKeyError(
    `the key has the character ${name}, which cannot be sent: copy the key again`
  );
}

// src/repeats.ts
var FIRST_WAIT_MS = 100;
var LONGEST_WAIT_MS = 2e3;
var SPREAD_MS = 250;
var PASSING = /* @__PURE__ */ new Set([429, 502, 503, 504]);
var NEVER_REPEATED = /* @__PURE__ */ new Set(["post /v1/model/rollback"]);
function isRepeatable(method, path, error) {
  if (NEVER_REPEATED.has(`${method} ${path}`)) return false;
  if (error instanceof ConnectionFailedError) return true;
  const hasStatus = error instanceof ProblemError || error instanceof UnexpectedAnswerError;
  return hasStatus && PASSING.has(error.status);
}
function waitMs(error, numRepeats) {
  const named = error.retryAfterSeconds;
  if (typeof named === "number") return 1e3 * named + SPREAD_MS * Math.random();
  return Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** numRepeats);
}

// src/client.ts
var TIMEOUT_MS = 3e4;
var REPEATS = 2;
var JSON_TYPE = "application/json";
var LINES_TYPE = "application/x-ndjson";
var Client = class {
  #service;
  #options;
  /** `service`: address of the service; empty for that of the page. */
  constructor(service, options = {}) {
    this.#service = service;
    this.#options = options;
  }
  async get(path, ...asked) {
    return (await this.send("get", path, ...asked)).answer;
  }
  async post(path, ...asked) {
    return (await this.send("post", path, ...asked)).answer;
  }
  async patch(path, ...asked) {
    return (await this.send("patch", path, ...asked)).answer;
  }
  async put(path, ...asked) {
    return (await this.send("put", path, ...asked)).answer;
  }
  async delete(path, ...asked) {
    return (await this.send("delete", path, ...asked)).answer;
  }
  /** Calls a route as the functions named by the methods do; also returns status and headers. */
  async send(method, path, ...[asked]) {
    return await this.#call(method, path, asked ?? {});
  }
  async #call(method, path, asked) {
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
  async #once({ address, headers, ...init }, signal) {
    const send = this.#options.fetch ?? fetch;
    const authorization = this.#authorization();
    try {
      return await received(await send(address, { ...init, headers: { ...headers, ...authorization }, signal }));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof TypeError)) throw error;
      throw new ConnectionFailedError(`no answer of ${address}`, { cause: error });
    }
  }
  #authorization() {
    const { key } = this.#options;
    const given = typeof key === "function" ? key() : key;
    if (!given) return {};
    checkKey(given);
    return { Authorization: `Bearer ${given}` };
  }
};
function requestOf(service, method, path, asked) {
  const common = {
    address: addressOf(service, path, asked.path, asked.query),
    method: method.toUpperCase(),
    headers: {},
    keepalive: asked.keepalive ?? false,
    // The service redirects no request; another host must not get the key.
    redirect: "error"
  };
  if (asked.body === void 0) return common;
  const body = withEventIds(path, asked.body);
  const isText = typeof body === "string";
  return {
    ...common,
    headers: { "Content-Type": isText ? LINES_TYPE : JSON_TYPE },
    body: isText ? body : JSON.stringify(body)
  };
}
async function received(response) {
  const text = await response.text();
  const content = isJson(response) ? parsed2(response, text) : text;
  if (!response.ok) throw errorOf(response, content);
  return { answer: response.status === 204 ? void 0 : content, status: response.status, headers: response.headers };
}
var isJson = (response) => /^application\/(problem\+)?json\b/.test(response.headers.get("Content-Type") ?? "");
function parsed2(response, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new UnexpectedAnswerError(response, "the body is not JSON");
  }
}
export {
  Client,
  ConflictError,
  ConnectionFailedError,
  ForbiddenError,
  InvalidRequestError,
  NotFoundError,
  ProblemError,
  RecommenderError,
  TimedOutError,
  TooLargeError,
  TooManyRequestsError,
  UnauthorizedError,
  UnavailableError,
  UnexpectedAnswerError,
  UnusableKeyError,
  checkKey,
  newEventId
};
