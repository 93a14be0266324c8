"""The short form of `python -m proofs experiments`: one experiment with two looks."""

from pathlib import Path

import pytest

from proofs.experiments import prove
from tests.service.conftest import RING, ring_graph, save_ring_bundle


@pytest.mark.slow
def test_live_figures_of_simulated_visitors_are_exact(tmp_path: Path) -> None:
    bundle = save_ring_bundle(tmp_path / "bundle", ring_graph(len(RING)))

    figures = list(prove(experiments=1, visitors=200, bundle=bundle))

    assert len(figures) == 3
    assert [each.name for each in figures if not each.holds] == []
