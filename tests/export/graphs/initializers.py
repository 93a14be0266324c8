"""All constants of a model, those in branches included."""

from collections.abc import Iterator

import onnx


def every_initializer(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yields the constants of `graph`, then those of the graphs inside it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from every_initializer(attribute.g)
