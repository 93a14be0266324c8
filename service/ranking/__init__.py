"""Ranks items for a history, independent of HTTP, stored histories and settings.

Where inference runs, and why:

On the event loop: every request for one list of recommendations, through `micro_batcher`. One
inference takes about 50 µs. Handing it to a thread and back takes longer than that, and threads
would compete for the interpreter lock. On the event loop, requests that are ready in the same turn
also share one inference. So a busy worker spends less time on each request.

In a thread: all work that can take longer than about a millisecond, which would delay every other
request of the worker.

- a batch request, which has up to 64 queries;
- explanations, which rank once for each item of the history;
- nearest neighbours, title search and filters, where they read the whole of a large catalog;
- the student's answer on the routes that ask the teacher;
- encoding added items; loading and checking a bundle.

Work of a request in a thread waits for its turn and runs in slices (`service/admission`). Threads
need no lock, because `Student`, `Catalog` and `Recommender` are immutable. Each thread binds inputs
and outputs of a graph to arrays of its own (`bound_session`).
"""
