"""Recommends for all histories in a Parquet file, without a running service.

`answers.Answering` turns a table of histories into a table of recommendations, with the service's
own ranking. Its instances are callable, so that a distributed engine can map an instance over
batches. `live_items` reads the changes that a running service has made to its items. `program`
divides a file into parts, `workers` answers each part in a process, and `parts` joins the results.
"""
