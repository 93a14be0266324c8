"""A short form of `python -m proofs large_catalog`; latency itself is not tested."""

import numpy as np

from benchmarks.subjects.large_catalog import LargeCatalog
from benchmarks.subjects.subject import random_student
from proofs.large_catalog import figures
from tests.exported_once import exported_once

__all__ = ["exported_once"]  # a fixture

NUM_ITEMS = 3_000


def test_two_workers_serve_histories_of_a_catalog_and_swap_to_its_next_version() -> None:
    generator = np.random.default_rng(0)
    histories = generator.integers(1, NUM_ITEMS + 1, (200, 5)).tolist()
    catalog = LargeCatalog(random_student(NUM_ITEMS), histories)

    found = {
        each.name: each for each in figures(catalog, seconds=1.0, rate=50, warm_up_seconds=0.5)
    }

    assert found["items"].value == NUM_ITEMS
    assert found["answers"].value == 50
    assert found["p50 at 50 requests/s"].value <= found["p90 at 50 requests/s"].value
    assert found["peak of a swap"].value > found["memory of one worker"].value > 0
