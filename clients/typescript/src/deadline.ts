// The end of a call: its timeout, or the signal of its caller.

import { TimedOutError } from "./errors.js";

/** 24 days. A timer for longer ends at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Deadline {
  readonly #controller = new AbortController();
  readonly #endsAt: number;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #caller: AbortSignal | undefined;
  readonly #follow = () => this.#controller.abort(this.#caller?.reason);

  constructor(timeoutMs: number, caller?: AbortSignal) {
    this.#endsAt = performance.now() + timeoutMs;
    this.#caller = caller;
    const late = new TimedOutError(`no answer within ${timeoutMs} ms, repeats included`);
    this.#timer = setTimeout(() => this.#controller.abort(late), Math.min(timeoutMs, LONGEST_TIMER_MS));
    if (caller?.aborted) this.#follow();
    else caller?.addEventListener("abort", this.#follow);
  }

  /** Aborts at the end of the call; its reason is the error to throw. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Returns whether a wait of so many milliseconds ends before the call does. */
  leaves(milliseconds: number): boolean {
    return performance.now() + milliseconds < this.#endsAt;
  }

  /** Waits; throws the signal's reason if the call ends meanwhile. */
  async wait(milliseconds: number): Promise<void> {
    this.signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const aborted = () => {
        clearTimeout(timer);
        reject(this.signal.reason as Error);
      };
      const timer = setTimeout(() => {
        this.signal.removeEventListener("abort", aborted);
        resolve();
      }, milliseconds);
      this.signal.addEventListener("abort", aborted, { once: true });
    });
  }

  /** Stops the timer and lets go of the caller's signal. */
  close(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#follow);
  }
}
