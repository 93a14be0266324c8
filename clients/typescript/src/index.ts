// Typed client of a distilled recommender, for browsers and Node.

export { Client } from "./client.js";
export type { ClientOptions, Received } from "./client.js";
export {
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
} from "./errors.js";
export { newEventId } from "./event_ids.js";
export { checkKey } from "./keys.js";
export type { Answer, Asked, Method, PathWith, RefusalStatus } from "./routes.js";
export type * from "./schema.js";
