"""The short form of `python -m proofs experiments`: one experiment with two looks."""

from pathlib import Path

import pytest

from proofs.experiments import covered_at_least, prove
from tests.service.conftest import RING, ring_graph, save_ring_bundle


@pytest.mark.slow
def test_live_figures_of_simulated_visitors_are_exact(tmp_path: Path) -> None:
    bundle = save_ring_bundle(tmp_path / "bundle", ring_graph(len(RING)))

    figures = list(prove(experiments=1, visitors=200, bundle=bundle))

    assert len(figures) == 3
    assert [each.name for each in figures if not each.holds] == []


def test_four_of_twenty_experiments_that_miss_do_not_agree_with_a_coverage_of_95_percent() -> None:
    """By the binomial distribution 4 or more of 20 miss in 1.6 % of cases, 3 or more in 7.5 %."""
    assert covered_at_least(20) == 17 / 20
    assert covered_at_least(1) == 1
