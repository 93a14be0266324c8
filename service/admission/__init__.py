"""Admission control: accepts, delays or refuses requests, by the resource that they keep busy.

`service/api/costs.py` has the kind of each route:

- *light* work runs on the event loop. `Admission.refusal` bounds the number of requests in progress
  there, with which those of all kinds begin; `service/http/protocol.py` calls it as soon as the
  headers of a request are complete.
- *heavy* work (batches, explanations, similarity, search, costly filters) runs in a thread, in
  slices. `Gate` lets few requests work at once; the others wait in a bounded, fair queue.
- *teacher* and *admin* requests wait for the teacher or for changes of bundles and items. A `Bound`
  limits their number.

The routes of liveness, readiness and metrics have no bound. The queue is bounded in units: one unit
is about the work of one plain recommendation.
"""
