"""Changes to the encoder after torch has exported it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.graphs.optimising import MASKED, UNREAD, soften_masks
from tests.export.graphs.initializers import every_initializer


def test_masks_become_a_weight_of_nothing_and_weights_stay_as_they_are() -> None:
    values = np.array([-np.inf, MASKED, -80, -0.5, 3], dtype=np.float32)
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(values, "bias")])
    soften_masks(graph)
    softened = numpy_helper.to_array(graph.initializer[0])
    assert softened.tolist() == [-70, -70, -80, -0.5, 3]
    assert 0 < np.exp(UNREAD) < np.finfo(np.float32).eps
    assert np.exp(UNREAD) > np.finfo(np.float32).tiny  # no denormal


def test_no_mask_of_an_exported_graph_is_below_the_soft_one_but_that_of_the_answers(
    graph_path: Path,
) -> None:
    for constant in every_initializer(onnx.load(graph_path).graph):
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and "never" not in constant.name and values.size:
            assert values.min() > MASKED
