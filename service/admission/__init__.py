"""Decides which requests are worked on, and when: bounds, a queue in units, deadlines.

Three bounds, by what a route keeps busy (`service/api/costs.py` has the kind of each route):

- *light* work runs on the event loop. `is_overloaded` bounds the number of such requests in
  progress; `service/http/protocol.py` asks it before a request has cost anything.
- *heavy* work (batches, explanations, similarity, search, costly filters) runs in a thread, in
  slices. `Gate` lets few requests work at once; the others wait in a bounded, fair queue.
- requests that wait for something slow, such as the teacher, have a `Bound` on their number.

Liveness, readiness and metrics pass all three. One unit is about the work of one plain
recommendation.
"""
