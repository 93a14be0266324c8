"""Counts the events of the log in windows, and ranks popular and trending items by them.

`counting` counts events after they are stored, `reading` sums up windows, `growth` is the rule by
which items are popular or trending, and `ranked_items` ranks a catalog by it.
"""
