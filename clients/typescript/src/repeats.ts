// Decides whether a failed request is sent again, and when.

import { ConnectionFailedError, ProblemError, UnexpectedAnswerError } from "./errors.js";

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 2_000;
/** Spreads the repeats of many clients that were refused at once. */
const SPREAD_MS = 250;

const PASSING = new Set([429, 502, 503, 504]);
/** A second call would undo the first. */
const NEVER_REPEATED = new Set(["post /v1/model/rollback"]);

/** Returns whether a request can be sent again, after an error that may have passed by then. */
export function isRepeatable(method: string, path: string, error: unknown): boolean {
  if (NEVER_REPEATED.has(`${method} ${path}`)) return false;
  if (error instanceof ConnectionFailedError) return true;
  const hasStatus = error instanceof ProblemError || error instanceof UnexpectedAnswerError;
  return hasStatus && PASSING.has(error.status);
}

/**
 * Returns the milliseconds to wait before the next repeat: what `Retry-After` says, else twice as
 * long each time, at random up to a limit. `numRepeats`: number of earlier repeats.
 */
export function waitMs(error: unknown, numRepeats: number): number {
  const named = (error as Partial<ProblemError>).retryAfterSeconds;
  if (typeof named === "number") return 1_000 * named + SPREAD_MS * Math.random();
  return Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** numRepeats);
}
