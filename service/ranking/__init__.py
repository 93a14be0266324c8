"""Ranks items for a history, independent of HTTP, sessions and settings.

Where inference runs, and why:

On the event loop: every request for one list of recommendations, through `micro_batcher`. One
inference takes about 50 µs. Handing it to a thread and back takes longer than that, and threads
would compete for the interpreter lock. On the loop, requests that are ready in the same turn also
share one inference, so a busy worker spends less on each. The teacher's routes infer on the loop
too, for the student's part of their answer.

In a thread (`anyio.to_thread`): all that can take longer than about a millisecond, because it would
delay every other request of the worker: a batch request (up to 64 queries), explanations (one query
for each item of the history), nearest neighbours and title search (the whole catalog), encoding
added items, loading and checking a bundle. No lock is needed: `Student`, `Catalog` and
`Recommender` are immutable, and each thread has bound sessions of its own (`bound_session`).
"""
