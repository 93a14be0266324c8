"""Recommends for a whole base of histories in a Parquet file, without the service.

`answers.Answering` turns a table of histories into a table of recommendations, with the service's
own ranking. It is a class of callables, so that an engine for many machines can map it over
batches. `job` divides a file into parts, gives each to a process and joins the results.
"""
