// Errors of a call:
//
//   RecommenderError
//   ├── ProblemError                the service refused the request (RFC 9457)
//   │   ├── UnauthorizedError       401
//   │   ├── ForbiddenError          403
//   │   ├── NotFoundError           404
//   │   ├── ConflictError           409
//   │   ├── TooLargeError           413
//   │   ├── InvalidRequestError     422
//   │   ├── TooManyRequestsError    429
//   │   └── UnavailableError        503
//   ├── UnexpectedAnswerError       an answer that the service does not give, as of a proxy
//   ├── UnusableKeyError            the key cannot be sent
//   ├── ConnectionFailedError       no answer
//   └── TimedOutError               no answer in time

import type { FieldProblem, Problem } from "./schema.js";

export class RecommenderError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** The service refused the request; `message` has the reason. */
export class ProblemError extends RecommenderError {
  readonly status: number;
  /** The body of the answer. */
  readonly problem: Problem;
  /** Id of the request in the logs of the service. */
  readonly requestId: string | null;
  /** Seconds to wait before sending the request again, if the answer names them. */
  readonly retryAfterSeconds: number | null;

  constructor(problem: Problem, headers: Headers) {
    super(problem.detail);
    this.status = problem.status;
    this.problem = problem;
    this.requestId = headers.get("X-Request-ID");
    this.retryAfterSeconds = retryAfterSeconds(headers);
  }
}

/** The key is missing, unknown, revoked or expired. */
export class UnauthorizedError extends ProblemError {}

/** The key lacks the scope of the route. */
export class ForbiddenError extends ProblemError {}

/** There is no such item, session or variant. */
export class NotFoundError extends ProblemError {}

/** The change conflicts with what is served, or exceeds a limit. */
export class ConflictError extends ProblemError {}

/** The body is too long. */
export class TooLargeError extends ProblemError {}

/** A value of the request cannot be used; `fields` names each. */
export class InvalidRequestError extends ProblemError {
  get fields(): readonly FieldProblem[] {
    return this.problem.errors ?? [];
  }
}

/** The key is over its rate or its daily quota. */
export class TooManyRequestsError extends ProblemError {}

/** The service has too much work, or a part that the request needs does not answer. */
export class UnavailableError extends ProblemError {}

/** An answer that is not the service's own, such as an error page of a proxy. */
export class UnexpectedAnswerError extends RecommenderError {
  readonly status: number;
  readonly retryAfterSeconds: number | null;

  constructor(response: Response, reason: string) {
    super(`status ${response.status}: ${reason}`);
    this.status = response.status;
    this.retryAfterSeconds = retryAfterSeconds(response.headers);
  }
}

/** The key has a character that no header of a request can carry; nothing was sent. */
export class UnusableKeyError extends RecommenderError {}

/** The service could not be reached, or the connection ended before the answer; see `cause`. */
export class ConnectionFailedError extends RecommenderError {}

/** The call took longer than its timeout, repeats included. */
export class TimedOutError extends RecommenderError {}

const KINDS = new Map<number, typeof ProblemError>([
  [401, UnauthorizedError],
  [403, ForbiddenError],
  [404, NotFoundError],
  [409, ConflictError],
  [413, TooLargeError],
  [422, InvalidRequestError],
  [429, TooManyRequestsError],
  [503, UnavailableError],
]);

/** Makes the error of an answer whose status is an error, from its body. */
export function errorOf(response: Response, body: unknown): RecommenderError {
  if (!isProblem(response, body)) {
    return new UnexpectedAnswerError(response, "the answer is not a problem of the service (RFC 9457)");
  }
  // A proxy's problem may lack the status, which is optional in RFC 9457.
  const problem = { ...body, status: body.status ?? response.status };
  return new (KINDS.get(response.status) ?? ProblemError)(problem, response.headers);
}

function isProblem(response: Response, body: unknown): body is Problem {
  const mediaType = response.headers.get("Content-Type") ?? "";
  return mediaType.startsWith("application/problem+json") && typeof body === "object" && body !== null && "detail" in body;
}

/** Reads `Retry-After`, which is a number of seconds or a date. */
function retryAfterSeconds(headers: Headers): number | null {
  const given = headers.get("Retry-After");
  if (given === null) return null;
  const seconds = /^\d+(\.\d+)?$/.test(given.trim()) ? Number(given) : (Date.parse(given) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}
