"""Whether exported graphs rank as the model does that they were made from.

`check` is the check, `comparison` compares results after one history, and `histories` has the
histories.
"""
