"""The search of a large catalog by blocks of similar items.

`order` puts items into blocks, `constants` computes what the search reads, and `search` is the
search itself, in ONNX's text form.
"""
